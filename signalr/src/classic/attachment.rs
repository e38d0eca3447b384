//! Attaches a client of SignalR 2 to its hubs, with one queue for the messages of all of them.

use backplane::{Connection, Cursor, HubPlace};

use super::{place::Place, service::Users};

/// Attaches a client to its hubs and groups. With a cursor, it receives the messages since. Returns
/// `None` if the service has no hub.
pub(super) fn attach(
    place: &Place,
    users: &Users,
    groups: &[String],
    cursor: Option<Cursor>,
) -> Option<Connection> {
    let Place { service, id, hubs, .. } = place;
    // A hub's groups are written as `ChatHub.room`. The name of a hub has no dot.
    let groups_of = |hub: &usize| {
        let prefix = format!("{}.", service.hubs()[*hub].name());
        groups.iter().filter_map(|group| group.strip_prefix(&*prefix)).collect()
    };
    let groups: Vec<Vec<&str>> = hubs.iter().map(groups_of).collect();
    let hub_places: Vec<_> = hubs
        .iter()
        .zip(&groups)
        .map(|(&hub, groups)| HubPlace {
            hub: service.hubs()[hub].name(),
            user: users.of(hub).user_id.as_deref(),
            groups,
        })
        .collect();
    let backplane = service.hubs().first()?.backplane();
    let connection = backplane.attach_hubs(id, &hub_places, cursor);
    connection.report_groups();
    Some(connection)
}
