use backplane::Backplane;
use broker::Broker;

use super::*;
use crate::{handover::Given, tokens::Tokens};

const AGE_MAX: Duration = Duration::from_secs(15);
const AGES: Ages = Ages { own: AGE_MAX, skew: Duration::from_secs(60) };

#[tokio::test(start_paused = true)]
async fn a_connection_has_one_transport_and_ends_with_it() {
    let negotiated = alone();
    let Issued { connection_id, token } = negotiated.issue(1, false);
    let claim = negotiated.claim(&token, AGES).unwrap();
    assert_eq!(*claim.connection_id, connection_id);
    assert_eq!(negotiated.claim(&token, AGES).unwrap_err(), ClaimError::Active);
    assert!(matches!(negotiated.find(&token, AGES), Found::WebSocket(None)));
    assert_eq!(negotiated.counts(), (1, 0));
    drop(claim);
    assert_eq!(negotiated.claim(&token, AGES).unwrap_err(), ClaimError::Unknown);
    assert!(matches!(negotiated.find(&token, AGES), Found::Unknown));
    assert_eq!(negotiated.counts(), (0, 1));

    // Then it is too old, and the next connection forgets it.
    tokio::time::advance(AGE_MAX).await;
    assert_eq!(negotiated.claim(&token, AGES).unwrap_err(), ClaimError::Unknown);
    let next = negotiated.claim(&negotiated.issue(1, false).token, AGES).unwrap();
    assert_eq!(negotiated.counts(), (1, 0));

    // A connection that lives longer than its token leaves nothing.
    tokio::time::advance(AGE_MAX).await;
    drop(next);
    assert_eq!(negotiated.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_several_requests_has_one_entry() {
    let negotiated = alone();
    let Issued { connection_id, token } = negotiated.issue(1, false);
    let user_id: Option<Arc<str>> = Some("ann".into());
    let visitor = Visitor { user_id: user_id.clone(), ..Visitor::default() };
    let (connection, held) = negotiated.create_http(&token, AGES, visitor).unwrap();
    assert_eq!(
        (&*connection.connection_id, &connection.visitor.user_id),
        (&*connection_id, &user_id)
    );
    let Found::Http(found) = negotiated.find(&token, AGES) else { panic!("not found") };
    assert!(Arc::ptr_eq(&found, &connection));
    assert_eq!(negotiated.claim(&token, AGES).unwrap_err(), ClaimError::Active);
    drop(held);
    assert!(matches!(negotiated.find(&token, AGES), Found::Unknown));
}

#[tokio::test(start_paused = true)]
async fn only_an_unchanged_token_of_this_hub_opens_a_transport() {
    let negotiated = alone();
    let Issued { connection_id, token } = negotiated.issue(1, false);
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'E' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let found = negotiated.find(&changed, AGES);
        assert!(matches!(found, Found::Unknown | Found::UnknownKey), "{at}");
    }
    let other = alone().issue(1, false).token;
    for unknown in [&*connection_id, &other, "", "x", &token[..20], &token.repeat(2)] {
        assert_eq!(negotiated.claim(unknown, AGES).unwrap_err(), ClaimError::Unknown);
    }
    let Issued { connection_id, token } = negotiated.issue(0, false);
    assert_eq!(connection_id, token);
    assert!(negotiated.claim(&token, AGES).is_ok());
}

#[tokio::test]
async fn ids_have_22_characters_and_differ() {
    let negotiated = alone();
    let (a, b) = (negotiated.issue(1, false), negotiated.issue(1, false));
    assert_eq!((a.connection_id.len(), a.token.len()), (22, 82));
    assert_ne!(a.connection_id, b.connection_id);
    assert_ne!(a.token, b.token);
}

#[tokio::test(start_paused = true)]
async fn another_server_with_the_key_accepts_a_token_for_the_time_of_both_clocks() {
    let (here, there) = (alone(), alone());
    let Issued { connection_id, token } = there.issue(1, false);
    assert!(matches!(here.find(&token, AGES), Found::UnknownKey));
    here.0.farm.tokens().merge_keys(there.0.farm.tokens().shared_keys());
    let home = there.0.farm.own();
    assert!(
        matches!(here.find(&token, AGES), Found::Foreign { home: of, is_fresh: true } if of == home)
    );
    tokio::time::advance(AGE_MAX).await;
    assert!(matches!(there.find(&token, AGES), Found::Unknown));
    assert_eq!(*here.claim(&token, AGES).unwrap().connection_id, connection_id);
    tokio::time::advance(AGES.skew).await;
    let late = there.issue(1, false);
    assert!(matches!(here.find(&late.token, AGES), Found::Foreign { is_fresh: true, .. }));
    // Times have whole milliseconds, and the two clocks did not start at the same moment.
    tokio::time::advance(AGES.skew + AGE_MAX + Duration::from_secs(1)).await;
    assert!(matches!(here.find(&late.token, AGES), Found::Foreign { is_fresh: false, .. }));
}

#[tokio::test]
async fn a_token_of_a_clock_that_is_far_ahead_is_not_fresh() {
    let (here, mut there) = (alone(), alone());
    let ahead = AGES.skew + Duration::from_secs(10);
    Arc::get_mut(&mut there.0).unwrap().clock.wall += ahead;
    let Issued { token, .. } = there.issue(1, false);
    here.0.farm.tokens().merge_keys(there.0.farm.tokens().shared_keys());
    assert!(matches!(here.find(&token, AGES), Found::Foreign { is_fresh: false, .. }));
}

#[tokio::test]
async fn the_home_lets_one_server_open_a_connection() {
    let broker = Broker::new();
    let [home, b, c] = [(), (), ()].map(|()| on(&broker));
    let server = |of: &Negotiated| of.0.farm.own();
    while !home.0.farm.is_there(server(&b)) || !home.0.farm.is_there(server(&c)) {
        tokio::task::yield_now().await;
    }
    let Issued { token, .. } = home.issue(1, false);
    let ask = |of: &Negotiated, enters| home.whereabouts(&token, server(of), enters, AGES);
    assert_eq!(ask(&b, false), Whereabouts::Unknown);
    assert_eq!(ask(&b, true), Whereabouts::Entered);
    assert_eq!(ask(&c, true), Whereabouts::At(server(&b).to_string()));
    assert_eq!(ask(&b, true), Whereabouts::Unknown);
    assert!(matches!(home.find(&token, AGES), Found::Elsewhere(owner) if owner == server(&b)));

    home.left(&token, server(&c), AGES);
    assert_eq!(ask(&c, true), Whereabouts::At(server(&b).to_string()));
    home.left(&token, server(&b), AGES);
    assert_eq!(ask(&c, true), Whereabouts::Unknown);
    assert_eq!(home.counts(), (0, 1));
}

#[tokio::test]
async fn a_web_socket_elsewhere_takes_the_place_of_one_before() {
    let broker = Broker::new();
    let [home, b, c] = [(), (), ()].map(|()| on(&broker));
    let Issued { token, connection_id } = home.issue(1, false);
    assert!(home.moved(&token, b.0.farm.own()).is_none());
    assert!(home.moved(&token, b.0.farm.own()).is_none());
    let moved = home.moved(&token, c.0.farm.own());
    assert!(matches!(moved, Some(Moved::From(from)) if from == b.0.farm.own()));
    let claim = home.claim(&token, AGES).unwrap();
    let moved = home.moved(&token, c.0.farm.own());
    assert!(matches!(moved, Some(Moved::FromHere(id)) if *id == *connection_id));
    drop(claim);
}

fn alone() -> Negotiated {
    let backplane = Backplane::embedded(&Broker::new(), "App");
    Negotiated::new(Arc::new(Farm::new(&backplane, "Hub", Arc::<Tokens>::default())), "Hub")
}

fn on(broker: &Broker) -> Negotiated {
    let builder = Backplane::builder("App").server_channel(true);
    let backplane = builder.embedded(broker).unwrap();
    Negotiated::new(Arc::new(Farm::new(&backplane, "Hub", Arc::<Tokens>::default())), "Hub")
}

#[tokio::test]
async fn the_last_server_that_asks_for_a_connection_gets_it() {
    let broker = Broker::new();
    let [home, b, c] = [(), (), ()].map(|()| on(&broker));
    let given = |to: &Negotiated, number| Given { to: to.0.farm.own(), number };
    let Issued { token, .. } = home.issue(1, true);
    assert!(home.give(&token, given(&b, 1)).is_none(), "there is none");
    home.claim(&token, AGES).unwrap().park(Parked::of(1)).unwrap();
    assert!(!home.confirm(&token, given(&b, 1)), "it was not given");
    assert!(home.give(&token, given(&b, 1)).is_some());
    assert!(home.give(&token, given(&c, 2)).is_some());
    assert!(!home.confirm(&token, given(&b, 1)), "another server has asked since");
    assert!(!home.confirm(&token, given(&b, 2)), "the number of another server");
    assert!(home.confirm(&token, given(&c, 2)));
    assert!(home.confirm(&token, given(&c, 2)), "the first answer may be lost");
    assert!(
        home.take_back(&token, None, AGES).is_none() && home.give(&token, given(&b, 3)).is_none()
    );
    assert!(matches!(home.find(&token, AGES), Found::Elsewhere(at) if at == c.0.farm.own()));

    // It comes back, and an old message does not send it away again.
    let claim = home.claim_arrived(&token, 2, AGES).unwrap();
    home.arrived_at(&token, c.0.farm.own(), 1);
    assert!(home.moved(&token, c.0.farm.own()).is_none());
    assert!(matches!(home.find(&token, AGES), Found::WebSocket(Some(_))));
    assert!(home.claim_arrived(&token, 3, AGES).is_none(), "it is here");
    drop(claim);
    home.arrived_at(&token, c.0.farm.own(), 1);
    assert!(matches!(home.find(&token, AGES), Found::Unknown));
}

#[tokio::test]
async fn a_connection_that_no_server_confirms_stays() {
    let broker = Broker::new();
    let [home, b] = [(), ()].map(|()| on(&broker));
    let given = Given { to: b.0.farm.own(), number: 1 };
    let Issued { token, .. } = home.issue(1, true);
    home.claim(&token, AGES).unwrap().park(Parked::of(1)).unwrap();
    home.give(&token, given).unwrap();
    // The end of the wait for an earlier server changes nothing.
    assert!(home.take_back(&token, Some(0), AGES).is_none());
    let (claim, parked) = home.take_back(&token, Some(1), AGES).unwrap();
    assert_eq!(parked.moves, 1);
    assert!(!home.confirm(&token, given), "it comes too late");
    assert!(matches!(home.find(&token, AGES), Found::WebSocket(Some(_))));
    drop(claim);
    assert_eq!(home.counts(), (0, 1));
}

#[tokio::test]
async fn the_home_follows_a_connection_and_ignores_old_news() {
    let broker = Broker::new();
    let [home, b, c] = [(), (), ()].map(|()| on(&broker));
    let [b, c] = [b, c].map(|server| server.0.farm.own());
    let Issued { token, .. } = home.issue(1, true);
    let at = || match home.find(&token, AGES) {
        Found::Elsewhere(server) => Some(server),
        _ => None,
    };
    home.arrived_at(&token, b, 1);
    assert_eq!(at(), Some(b));
    home.arrived_at(&token, c, 2);
    home.arrived_at(&token, b, 1);
    assert_eq!(at(), Some(c));
    home.left(&token, b, AGES);
    assert_eq!(at(), Some(c), "it has left that server before");
    home.left(&token, c, AGES);
    home.arrived_at(&token, c, 2);
    assert_eq!(at(), None);
    // A token of another hub, or none at all.
    home.arrived_at(&alone().issue(1, true).token, b, 1);
    home.arrived_at("x", b, 1);
    assert_eq!(home.counts(), (0, 1));
}
