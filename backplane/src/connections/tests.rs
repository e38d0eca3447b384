//! Which connection receives which message.

use std::time::Duration;

use futures_util::FutureExt;

use super::queued::INVOCATIONS_MAX;
use super::*;
use crate::connection::{Connection, Received};
use crate::cursor::Cursor;
use crate::invocation::Invocation;

fn table() -> Arc<Connections> {
    connections(History { messages: 3, bytes: 1 << 20 })
}

fn connections(history: History) -> Arc<Connections> {
    Connections::new(history, Counter::default(), Counter::default(), Span::none())
}

fn attach(table: &Arc<Connections>, id: &str, groups: &[&str]) -> Connection {
    attach_at(table, id, groups, None)
}

/// Attaches a connection with the signal "all", the signal "c-" with its id, and some groups.
fn attach_at(
    table: &Arc<Connections>,
    id: &str,
    groups: &[&str],
    cursor: Option<u64>,
) -> Connection {
    let signals = ["all".to_owned(), format!("c-{id}")];
    let signals = signals.into_iter().chain(groups.iter().map(ToString::to_string)).collect();
    let cursor = cursor.map(|id| Cursor::at(Some(id)));
    Connection::attach(table, Attachment { id, user: None, signals, cursor })
}

fn message(signal: &str, except: &[&str]) -> Envelope {
    Envelope {
        signal: signal.to_owned(),
        except: except.iter().copied().collect(),
        source: None,
        invocation: Arc::new(Invocation::new(signal, ()).unwrap()),
        bytes: 1,
    }
}

fn arrive(table: &Connections, id: u64, signal: &str) -> Arrival {
    arrive_when(table, Source::Live, id, signal)
}

fn arrive_when(table: &Connections, source: Source, id: u64, signal: &str) -> Arrival {
    let messages = vec![message(signal, &[])];
    let arrival = table.arrive(id, &[], source, messages, |_| DeliveredMark::default());
    table.release();
    arrival
}

/// Returns the queue of a connection as text.
fn waiting(connection: &mut Connection) -> String {
    let texts = std::iter::from_fn(|| connection.try_recv()).map(|item| match item {
        Queued::Invocation(id, invocation) => match id {
            Some(id) => format!("{id}:{}", invocation.method()),
            None => invocation.method().to_owned(),
        },
        Queued::Gap(gap, _) => format!("({}-{})", gap.from, gap.to),
        Queued::Mark(at) => format!("|{}", at.unwrap_or_default()),
        Queued::Groups => "groups".to_owned(),
        Queued::Interrupted => "interrupted".to_owned(),
        Queued::Run(run) => {
            let methods: Vec<_> = run.iter().map(|invocation| invocation.method()).collect();
            methods.join("+")
        }
        Queued::Rest => unreachable!("it is not given to anybody"),
    });
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_message_reaches_those_it_is_for() {
    let table = table();
    let mut all =
        [attach(&table, "a", &["room"]), attach(&table, "B", &["room"]), attach(&table, "c", &[])];
    for (signal, except, expected) in [
        ("all", &[][..], ["a", "B", "c"].as_slice()),
        ("all", &["c-a", "c-c"], &["B"]),
        ("room", &[], &["a", "B"]),
        ("room", &["b"], &["a"]),
        ("all", &["room"], &["c"]),
        ("c-c", &[], &["c"]),
        ("absent", &[], &[]),
    ] {
        assert_eq!(table.deliver(&message(signal, except)).0, expected.len(), "{signal}");
        let got = all.iter_mut().filter_map(|connection| {
            (!waiting(connection).is_empty()).then(|| connection.id().to_owned())
        });
        assert_eq!(got.collect::<Vec<_>>(), expected, "{signal} {except:?}");
    }
    assert!(table.leave("B", "room") && !table.leave("absent", "room"));
    assert_eq!(table.deliver(&message("room", &[])).0, 1);
}

#[test]
fn the_groups_of_a_connection_are_known_in_both_dialects() {
    let table = table();
    let here = attach(&table, "here", &["hg-ChatHub.lobby", "App:My.Hub:group:hall"]);
    assert_eq!(here.groups(), ["ChatHub.lobby"]);
    table.use_channels("App:");
    assert_eq!(here.groups(), ["My.Hub.hall"]);
}

/// Servers of SignalR 2 send several messages as one payload.
#[test]
fn a_position_within_a_payload_is_before_it() {
    let table = connections(History { messages: 10, bytes: 1 << 20 });
    arrive(&table, 4, "all");
    // Small ones share a run, and one that excludes somebody is by itself.
    for except in [&[][..], &["c-x"]] {
        let mut connections =
            [attach(&table, "live", &[]), attach_at(&table, "late", &[], Some(4))];
        let id = table.last().unwrap() + 1;
        let messages = vec![message("all", &[]), message("c-x", &[]), message("all", except)];
        let none = |_: &Envelope| DeliveredMark::default();
        table.arrive(id, &[], Source::Live, messages, none);
        table.release();
        for connection in &mut connections {
            let mut places = Vec::new();
            while let Some(Ok(invocation)) = connection.recv().now_or_never() {
                assert_eq!(invocation.method(), "all");
                let id = |cursor: Cursor| cursor.id().unwrap();
                places.push((id(connection.last_place()), id(connection.cursor())));
            }
            let last = places.len() - 1;
            assert!(places.len() >= 2 && places[last] == (id, id), "{places:?}");
            assert_eq!(places[last - 1], (id - 1, id - 1), "{except:?}");
        }
        let connection = attach_at(&table, "moves", &[], Some(id - 1));
        let (_, cursor) = connection.hand_over().unwrap();
        assert_eq!(cursor.id(), Some(id - 1), "{except:?}");
    }
}

#[test]
fn a_dropped_connection_leaves_no_state() {
    let table = table();
    let connection = attach_at(&table, "a", &[], Some(7));
    assert!(table.join("a", "room") && !table.join("b", "room"));
    drop(connection);
    assert!(table.table.lock().is_empty());
}

#[test]
fn a_reconnecting_connection_receives_missed_messages() {
    let table = table();
    for (id, signal) in [(5, "all"), (6, "room"), (7, "other"), (8, "all")] {
        arrive(&table, id, signal);
    }
    for (cursor, groups, expected) in [
        (Some(5), &["room"][..], "6:room 8:all 9:all"),
        (Some(6), &["room"], "8:all 9:all"),
        (Some(8), &[], "9:all"),
        (Some(4), &[], "(5-5) 8:all 9:all"),
        (None, &[], "9:all"),
    ] {
        let table = self::table();
        for (id, signal) in [(5, "all"), (6, "room"), (7, "other"), (8, "all")] {
            arrive(&table, id, signal);
        }
        let mut connection = attach_at(&table, "a", groups, cursor);
        arrive(&table, 9, "all");
        assert_eq!(waiting(&mut connection), expected, "{cursor:?}");
    }
}

#[test]
fn a_connection_ahead_of_this_server_receives_nothing_twice() {
    let table = table();
    let mut early = attach_at(&table, "early", &[], Some(6));
    arrive(&table, 5, "all");
    let mut later = attach_at(&table, "later", &[], Some(7));
    let mut behind = attach_at(&table, "behind", &[], Some(3));
    for id in 6..=8 {
        arrive(&table, id, "all");
    }
    assert_eq!(waiting(&mut early), "7:all 8:all");
    assert_eq!(waiting(&mut later), "8:all");
    assert_eq!(waiting(&mut behind), "(4-4) 5:all 6:all 7:all 8:all");
    assert_eq!(later.cursor().id(), Some(8));
}

#[test]
fn a_connection_ahead_of_this_server_delays_no_other_one() {
    let table = table();
    let mut here = attach(&table, "here", &[]);
    let mut ahead = attach_at(&table, "ahead", &[], Some(3));
    let mut far = attach_at(&table, "far", &[], Some(1 << 40));
    arrive_at_once(&table, 1..=5, "all");
    table.release();
    assert_eq!(waiting(&mut here), "all+all+all all+all", "a run ends where a cursor is overtaken");
    assert_eq!(waiting(&mut ahead), "all+all");
    assert_eq!(waiting(&mut far), "");
}

#[test]
fn a_gap_is_reported_once_and_without_received_ids() {
    let table = table();
    arrive(&table, 5, "all");
    let (mut one, mut two) = (attach(&table, "one", &[]), attach_at(&table, "two", &[], Some(7)));
    assert!(matches!(arrive(&table, 10, "all"), Arrival::After(_)));
    assert_eq!(waiting(&mut one), "(6-9) 10:all");
    assert_eq!(waiting(&mut two), "(8-9) 10:all");
    let mut three = attach_at(&table, "three", &[], Some(5));
    assert_eq!(waiting(&mut three), "(6-9) 10:all");
}

#[test]
fn the_first_message_reveals_the_gap_before_it() {
    let table = table();
    let mut connection = attach_at(&table, "a", &[], Some(3));
    arrive(&table, 6, "all");
    assert_eq!(waiting(&mut connection), "(4-5) 6:all");
}

#[test]
fn messages_arrive_after_a_counter_reset() {
    let table = table();
    arrive(&table, 100, "all");
    let mut ahead = attach_at(&table, "ahead", &[], Some(200));
    table.resubscribed();
    let gap = Some(Gap { from: 1, to: 6 });
    assert_eq!(arrive(&table, 7, "all"), Arrival::Restarted { last: 100, gap });
    assert_eq!(waiting(&mut ahead), "(1-6) 100:all");
    assert_eq!(ahead.cursor().id(), Some(100), "a cursor does not go back");
    let mut stale = attach_at(&table, "stale", &[], Some(200));
    arrive(&table, 8, "all");
    table.probe_returned(Instant::now(), 8);
    arrive(&table, 9, "all");
    assert_eq!(waiting(&mut stale), "(1-8) 100:all");
    let mut back = attach_at(&table, "back", &[], Some(99));
    arrive(&table, 101, "all");
    assert_eq!(waiting(&mut back), "(100-100) 100:all 100:all 100:all 101:all");
}

/// Delivers messages as a bus that has more of them.
fn arrive_at_once(table: &Connections, ids: impl IntoIterator<Item = u64>, signal: &str) {
    for id in ids {
        let messages = vec![message(signal, &[])];
        table.arrive(id, &[], Source::Live, messages, |_| DeliveredMark::default());
    }
}

#[test]
fn messages_that_arrive_at_once_are_one_run() {
    let table = table();
    let (mut a, mut b) = (attach(&table, "a", &["room"]), attach(&table, "b", &[]));
    arrive_at_once(&table, 1..=3, "all");
    assert_eq!(waiting(&mut a), "", "more may follow");
    arrive_at_once(&table, 4..=5, "room");
    assert_eq!(waiting(&mut a), "all+all+all");
    table.release();
    assert_eq!(waiting(&mut a), "room+room");
    assert_eq!(waiting(&mut b), "all+all+all");
}

#[test]
fn a_run_ends_before_anything_else_happens_to_a_connection() {
    let table = table();
    let mut here = attach(&table, "here", &[]);
    arrive_at_once(&table, 1..=2, "all");
    let mut back = attach_at(&table, "back", &[], Some(0));
    assert_eq!((&*waiting(&mut here), &*waiting(&mut back)), ("all+all", "1:all 2:all"));
    arrive_at_once(&table, 3..=4, "all");
    table.join("here", "room");
    assert_eq!(waiting(&mut here), "all+all");
    arrive_at_once(&table, 5..=6, "all");
    arrive_at_once(&table, [9], "all");
    table.release();
    assert_eq!(waiting(&mut here), "all+all (7-8) 9:all");
    arrive_at_once(&table, 10..=11, "all");
    here.mark_after(Cursor::at(Some(11)));
    assert_eq!(waiting(&mut here), "all+all |11");
}

#[test]
fn a_run_counts_towards_the_limit_as_its_messages_do() {
    let table = table();
    let mut slow = attach(&table, "slow", &[]);
    arrive_at_once(&table, 1..=INVOCATIONS_MAX as u64 + 200, "all");
    table.release();
    assert!(!table.is_attached("slow"));
    assert_eq!(waiting(&mut slow).matches("all").count(), INVOCATIONS_MAX);
    // One message more than fits, and not at the end of a run.
    let mut slow = attach(&table, "slow", &[]);
    let next = INVOCATIONS_MAX as u64 + 201;
    arrive(&table, next, "all");
    arrive_at_once(&table, next + 1..=next + INVOCATIONS_MAX as u64, "all");
    table.release();
    assert!(!table.is_attached("slow"));
    assert_eq!(waiting(&mut slow).matches("all").count(), INVOCATIONS_MAX);
}

#[tokio::test]
async fn a_cursor_follows_the_messages_of_a_run() {
    let table = table();
    let mut here = attach(&table, "here", &[]);
    arrive_at_once(&table, 1..=2, "all");
    table.release();
    here.recv().await.unwrap();
    assert_eq!(here.cursor(), Cursor::at(Some(1)));
    here.recv().await.unwrap();
    assert_eq!(here.cursor(), Cursor::at(Some(2)));
}

#[test]
fn a_locally_delivered_message_is_stored_and_not_delivered_again() {
    let table = table();
    let mut here = attach(&table, "here", &[]);
    let (_, delivered_to) = table.deliver(&message("all", &[]));
    let mut meanwhile = attach_at(&table, "meanwhile", &[], Some(0));
    table.arrive(1, &[], Source::Live, vec![message("all", &[])], |_| delivered_to);
    assert_eq!(waiting(&mut here), "all");
    assert_eq!(waiting(&mut meanwhile), "1:all", "it was attached after the local delivery");
    let mut back = attach_at(&table, "back", &[], Some(0));
    assert_eq!(waiting(&mut back), "1:all");
}

#[test]
fn a_cursor_follows_the_received_messages() {
    let table = table();
    let mut connection = attach(&table, "a", &[]);
    assert_eq!(connection.cursor().id(), None);
    arrive(&table, 5, "other");
    assert_eq!(connection.cursor().id(), Some(5));
    arrive(&table, 6, "all");
    assert_eq!(connection.cursor().id(), None, "it has taken nothing yet");
    waiting(&mut connection);
    assert_eq!(connection.cursor().id(), Some(6));
}

fn mark_after(connection: &Connection, id: u64) {
    connection.mark_after(Cursor::at(Some(id)));
}

#[test]
fn a_mark_follows_all_messages_up_to_its_id() {
    let table = table();
    let (mut one, mut two) = (attach(&table, "one", &[]), attach(&table, "two", &[]));
    mark_after(&one, 2);
    mark_after(&two, 2);
    arrive(&table, 1, "all");
    assert_eq!(waiting(&mut one), "1:all", "the id has not arrived");
    arrive(&table, 2, "c-two");
    arrive(&table, 3, "all");
    assert_eq!(waiting(&mut one), "|2 3:all");
    assert_eq!(waiting(&mut two), "1:all 2:c-two |2 3:all");
    mark_after(&one, 1);
    arrive(&table, 4, "all");
    assert_eq!(waiting(&mut one), "|1 4:all", "the id has arrived before");
}

#[test]
fn a_mark_before_all_messages_comes_at_once() {
    let mut connection = attach(&table(), "a", &[]);
    connection.mark_after(Cursor::at(None));
    assert_eq!(waiting(&mut connection), "|0");
}

#[test]
fn a_mark_for_a_lost_id_follows_the_next_one() {
    let table = table();
    let mut connection = attach(&table, "a", &[]);
    arrive(&table, 5, "all");
    mark_after(&connection, 6);
    mark_after(&connection, 7);
    arrive(&table, 8, "all");
    assert_eq!(waiting(&mut connection), "5:all (6-7) 8:all |6 |7");
}

#[test]
fn a_mark_follows_deferred_messages() {
    let (table, mut connection) = after_many(10_000, 3000);
    mark_after(&connection, 3000);
    arrive(&table, 3001, "all");
    assert!(waiting(&mut connection).ends_with(" 3000:all 3001:all |3000"));
    mark_after(&connection, 3001);
    assert_eq!(waiting(&mut connection), "|3001");
}

#[test]
fn a_connection_that_has_ended_gets_no_mark() {
    let table = table();
    let mut connection = attach(&table, "a", &[]);
    table.end("a", Disconnect::Aborted);
    mark_after(&connection, 1);
    arrive(&table, 1, "all");
    assert_eq!(waiting(&mut connection), "");
    assert!(table.table.lock().is_empty());
}

#[tokio::test]
async fn a_mark_wakes_the_reader_and_advances_the_cursor() {
    let table = table();
    let mut connection = attach(&table, "a", &[]);
    mark_after(&connection, 5);
    let reader = tokio::spawn(async move { (connection.recv_or_gap().await, connection) });
    tokio::task::yield_now().await;
    arrive(&table, 5, "other");
    let (received, connection) =
        tokio::time::timeout(Duration::from_secs(10), reader).await.expect("in time").unwrap();
    let place = Cursor::at(Some(5));
    assert!(matches!(received, Ok(Received::Mark(reached)) if reached == place), "{received:?}");
    assert_eq!(connection.cursor(), place);
}

#[tokio::test]
async fn a_connection_that_falls_behind_is_closed_and_others_are_not() {
    let table = table();
    let (mut slow, mut reader) = (attach(&table, "slow", &[]), attach(&table, "reader", &[]));
    for _ in 0..=INVOCATIONS_MAX {
        table.deliver(&message("all", &[]));
        assert!(reader.recv().await.is_ok());
    }
    for _ in 0..INVOCATIONS_MAX {
        assert!(slow.recv().await.is_ok());
    }
    assert_eq!(slow.recv().await.unwrap_err(), Disconnect::SlowConnection);
    assert_eq!(table.slow.get(), 1);
    table.deliver(&message("all", &[]));
    assert!(reader.recv().await.is_ok());
}

/// Returns a table that stores `messages` messages, with a connection that has not read any of
/// `missed` replayed messages.
fn after_many(messages: usize, missed: u64) -> (Arc<Connections>, Connection) {
    let table = connections(History { messages, bytes: 1 << 30 });
    let connection = attach(&table, "a", &[]);
    for id in 1..=missed {
        arrive_when(&table, Source::Replay, id, "all");
    }
    (table, connection)
}

#[test]
fn replayed_messages_wait_in_the_store_for_a_full_connection() {
    let (table, mut connection) = after_many(10_000, 3000);
    table.deliver(&message("all", &[]));
    arrive(&table, 3001, "all");
    arrive_when(&table, Source::Replay, 3005, "all");
    assert_eq!(connection.cursor().id(), None, "it has taken nothing yet");
    let expected = (1..=INVOCATIONS_MAX as u64).map(|id| format!("{id}:all"));
    let expected = expected.chain(["all".to_owned()]);
    let rest = (INVOCATIONS_MAX as u64 + 1..=3001).map(|id| format!("{id}:all"));
    let end = ["(3002-3004)".to_owned(), "3005:all".to_owned()];
    let expected: Vec<_> = expected.chain(rest).chain(end).collect();
    assert_eq!(waiting(&mut connection), expected.join(" "));
    arrive(&table, 3006, "all");
    assert_eq!(waiting(&mut connection), "3006:all");
    assert_eq!(connection.cursor().id(), Some(3006));
}

#[test]
fn deferred_messages_use_the_groups_at_their_arrival() {
    let (table, mut connection) = after_many(10_000, 2000);
    arrive_when(&table, Source::Replay, 2001, "room");
    table.join("a", "room");
    for id in 2002..4000 {
        arrive_when(&table, Source::Replay, id, "room");
    }
    table.leave("a", "room");
    arrive_when(&table, Source::Replay, 4000, "room");
    arrive_when(&table, Source::Replay, 4001, "all");
    let got = waiting(&mut connection);
    let ids: Vec<_> = got.split(' ').filter_map(|item| item.split(':').next()).collect();
    let expected: Vec<_> =
        (1..=4001).filter(|id| ![2001, 4000].contains(id)).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_locally_delivered_message_is_not_deferred() {
    let (table, mut connection) = after_many(10_000, 2000);
    let (_, delivered_to) = table.deliver(&message("all", &[]));
    let messages = vec![message("all", &[])];
    table.arrive(2001, &[], Source::Replay, messages, |_| delivered_to);
    assert!(waiting(&mut connection).ends_with(" 2000:all"));
}

#[test]
fn a_connection_is_closed_when_its_deferred_messages_are_evicted() {
    let (table, mut connection) = after_many(100, 3000);
    assert!(waiting(&mut connection).ends_with(&format!(" {INVOCATIONS_MAX}:all")));
    let end = connection.recv().now_or_never().expect("it has ended");
    assert_eq!(end.unwrap_err(), Disconnect::SlowConnection);
    assert_eq!(table.slow.get(), 1);
}

#[test]
fn a_connection_without_room_for_a_gap_is_closed() {
    let table = table();
    arrive(&table, 5, "all");
    let mut connected = attach(&table, "connected", &[]);
    let mut ahead = attach_at(&table, "ahead", &[], Some(7));
    let mut stale = attach_at(&table, "stale", &[], Some(200));
    for _ in 0..INVOCATIONS_MAX {
        table.deliver(&message("all", &[]));
    }
    arrive(&table, 10, "absent");
    table.probe_returned(Instant::now(), 10);
    for slow in [&mut connected, &mut ahead, &mut stale] {
        assert!(waiting(slow).ends_with("all"));
        let end = slow.recv().now_or_never().expect("it has ended");
        assert_eq!(end.unwrap_err(), Disconnect::SlowConnection, "{}", slow.id());
    }
    assert_eq!(table.slow.get(), 3);
}

#[test]
fn the_memory_of_a_peak_is_given_back() {
    let table = table();
    let mut attached: Vec<_> =
        (0..10_000).map(|number| attach(&table, &number.to_string(), &[])).collect();
    attached.truncate(10);
    assert_eq!(table.len(), 10);
    let capacity = table.table.lock().map_capacity();
    assert!(capacity < 1_000, "{capacity} places are kept for 10 connections");
}

#[tokio::test]
async fn a_connection_attached_after_the_end_is_closed() {
    let table = table();
    let mut before = attach(&table, "a", &[]);
    table.close(Disconnect::Shutdown);
    let mut after = attach(&table, "a", &[]);
    assert_eq!(before.recv().await.unwrap_err(), Disconnect::Shutdown);
    assert_eq!(after.recv().await.unwrap_err(), Disconnect::Shutdown);
    assert!(!table.join("a", "room"));
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_returned_last_keeps_the_id() {
    let (table, second) = (table(), Duration::from_secs(1));
    let mut first = attach(&table, "a", &[]);
    let elsewhere = |age| Attached { connection_id: "a".into(), number: 7, age };
    assert_eq!(table.attached_elsewhere(&elsewhere(Duration::ZERO)), None);
    let end = first.recv().now_or_never().expect("it has ended");
    assert_eq!(end.unwrap_err(), Disconnect::Replaced);
    let before = attach_at(&table, "a", &[], Some(1));
    let mut back = attach_at(&table, "a", &[], Some(1));
    table.announced(&before.place());
    table.attached_elsewhere(&elsewhere(Duration::ZERO));
    assert!(back.recv().now_or_never().is_none(), "the other one was there before");
    table.announced(&back.place());
    tokio::time::advance(second).await;
    let again = table.attached_elsewhere(&elsewhere(2 * second)).expect("it is announced again");
    assert_eq!((again.age, again.number), (second, back.place().number));
    assert!(back.recv().now_or_never().is_none(), "the other announcement was delayed");
    assert_eq!(table.attached_elsewhere(&elsewhere(second / 2)), None);
    assert!(back.recv().now_or_never().is_some(), "the other one came later");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_without_a_round_trip_is_repeated() {
    let (table, second) = (table(), Duration::from_secs(1));
    let _fresh = attach(&table, "fresh", &[]);
    let back = attach_at(&table, "back", &[], Some(1));
    let told = |sent| {
        let places = table.probe_returned(sent, 9).into_iter();
        places.map(|place| (place.connection_id, place.age)).collect::<Vec<_>>()
    };
    assert_eq!(told(Instant::now()), [], "it may be on its way");
    tokio::time::advance(second).await;
    assert_eq!(told(Instant::now()), [("back".to_owned(), second)]);
    assert_eq!(told(Instant::now()), [], "it may be on its way");
    table.announced(&back.place());
    tokio::time::advance(second).await;
    assert_eq!(told(Instant::now()), []);
}

#[tokio::test]
async fn an_id_belongs_to_the_last_connection() {
    let table = table();
    let mut first = attach(&table, "a", &[]);
    let mut second = attach(&table, "a", &[]);
    assert_eq!(first.recv().await.unwrap_err(), Disconnect::Replaced);
    drop(first);
    table.deliver(&message("all", &[]));
    assert!(second.recv().await.is_ok());
    assert!(table.end("a", Disconnect::Aborted));
    assert_eq!(second.recv().await.unwrap_err(), Disconnect::Aborted);
}
