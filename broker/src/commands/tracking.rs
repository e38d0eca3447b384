//! `CLIENT TRACKING` and `CLIENT CACHING`: client-side caching.

use super::Answer;
use super::client::on_or_off;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::spec::Spec;
use crate::keyspace::{Prefixes, Tracker, first_overlap};
use crate::protocol::reply::Reply;
use crate::protocol::request::{self, Request};
use crate::pubsub::order::OrderGuard;
use crate::session::Session;
use crate::session::client_info::Flag;
use crate::session::tracking::Tracking;

impl Session {
    /// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
    pub(crate) fn client_tracking(
        &mut self,
        request: Request<'_>,
        order: &mut OrderGuard<'_>,
    ) -> Answer {
        let (wanted, mut prefixes) = self.parse_tracking(request)?;
        if on_or_off(request.argument(2))? {
            self.check_tracking(&wanted, &prefixes)?;
            check_prefixes(order.keyspace().tracked_prefixes(self.info.id), &prefixes)?;
            if wanted.broadcast && prefixes.is_empty() {
                prefixes.push(b"");
            }
            let tracker = self.tracker(&wanted);
            let added = order.keyspace().track(self.info.id, tracker, &prefixes);
            let prefix_bytes = self.prefix_bytes() + added;
            self.tracking = Some(Box::new(Tracking { prefix_bytes, ..wanted }));
            self.record_tracking();
        } else {
            self.stop_tracking(order);
        }
        Ok(Reply::ok())
    }

    /// Returns the record of this client for the keyspace. Marks the client that receives redirected
    /// invalidations.
    fn tracker(&self, tracking: &Tracking) -> Tracker {
        let other = self.server.clients.get(tracking.redirect);
        if let Some(info) = &other {
            info.set(Flag::Recipient, true);
        }
        Tracker {
            own: self.info.recipient(),
            other: other.map(|info| info.recipient()),
            is_broken: false,
            is_broadcast: tracking.broadcast,
            no_loop: tracking.no_loop,
        }
    }

    pub(crate) fn stop_tracking(&mut self, order: &mut OrderGuard<'_>) {
        if self.tracking.take().is_some() {
            order.keyspace().untrack(self.info.id);
        }
        self.record_tracking();
    }

    /// Stops tracking for a client that disconnects, and redirections to it.
    pub(crate) fn leave_tracking(&mut self, order: &mut OrderGuard<'_>) {
        self.stop_tracking(order);
        if self.info.is(Flag::Recipient) {
            let broken = order.keyspace().lose_recipient(self.info.id);
            for info in broken.into_iter().filter_map(|id| self.server.clients.get(id)) {
                info.set(Flag::BrokenRedirect, true);
            }
        }
    }

    /// Ends the effect of `CLIENT CACHING` after the next command. `CLIENT` commands and queued
    /// commands do not end it.
    pub(crate) fn end_caching(&mut self, spec: &Spec) {
        self.end_caching_after(Some(spec));
    }

    /// The same after any request; `None` has no command, or an unknown one.
    pub(crate) fn end_caching_after(&mut self, spec: Option<&Spec>) {
        if let Some(tracking) = &mut self.tracking
            && self.transaction.is_none()
            && !spec.is_some_and(|spec| spec.name.starts_with("client|"))
        {
            tracking.caching = None;
        }
    }

    /// Returns the options and the prefixes of the request.
    fn parse_tracking<'a>(
        &self,
        request: Request<'a>,
    ) -> Result<(Tracking, Vec<&'a [u8]>), CommandError> {
        let mut wanted = Tracking::default();
        let mut prefixes = Vec::new();
        let mut options = request.arguments_from(3);
        while let Some(option) = options.next() {
            match &*option.to_ascii_lowercase() {
                b"redirect" => {
                    let id = options.next().ok_or(SYNTAX_ERROR)?;
                    if wanted.redirect != 0 {
                        return Err(
                            b"ERR A client can only redirect to a single other client".to_vec()
                        );
                    }
                    let id = request::integer(id).ok_or(NOT_AN_INTEGER)?;
                    wanted.redirect = u64::try_from(id).unwrap_or(0);
                    if self.server.clients.get(wanted.redirect).is_none() {
                        let text = b"ERR The client ID you want redirect to does not exist";
                        return Err(text.to_vec());
                    }
                }
                b"prefix" => prefixes.push(options.next().ok_or(SYNTAX_ERROR)?),
                b"bcast" => wanted.broadcast = true,
                b"optin" => wanted.opt_in = true,
                b"optout" => wanted.opt_out = true,
                b"noloop" => wanted.no_loop = true,
                _ => return Err(SYNTAX_ERROR.to_vec()),
            }
        }
        Ok((wanted, prefixes))
    }

    fn check_tracking(&self, wanted: &Tracking, prefixes: &[&[u8]]) -> Result<(), CommandError> {
        if !wanted.broadcast && !prefixes.is_empty() {
            return Err(b"ERR PREFIX option requires BCAST mode to be enabled".to_vec());
        }
        if let Some(known) = &self.tracking {
            if known.broadcast != wanted.broadcast {
                return Err(
                    b"ERR You can't switch BCAST mode on/off before disabling tracking for \
                    this client, and then re-enabling it with a different mode."
                        .to_vec(),
                );
            }
            let switches = |known: bool, wanted: bool, other: bool| !known && wanted && other;
            if switches(known.opt_in, wanted.opt_in, known.opt_out)
                || switches(known.opt_out, wanted.opt_out, known.opt_in)
            {
                return Err(
                    b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for \
                    this client, and then re-enabling it with a different mode."
                        .to_vec(),
                );
            }
        }
        if wanted.broadcast && (wanted.opt_in || wanted.opt_out) {
            return Err(b"ERR OPTIN and OPTOUT are not compatible with BCAST".to_vec());
        }
        if wanted.opt_in && wanted.opt_out {
            return Err(b"ERR You can't specify both OPTIN mode and OPTOUT mode".to_vec());
        }
        Ok(())
    }

    /// `CLIENT CACHING YES|NO`
    pub(crate) fn client_caching(&mut self, value: &[u8]) -> Answer {
        let Some(tracking) = &mut self.tracking else {
            return Err(
                b"ERR CLIENT CACHING can be called only when the client is in tracking mode \
                with OPTIN or OPTOUT mode enabled"
                    .to_vec(),
            );
        };
        tracking.caching = match &*value.to_ascii_lowercase() {
            b"yes" if tracking.opt_in => Some(true),
            b"yes" => {
                return Err(
                    b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN \
                    mode."
                        .to_vec(),
                );
            }
            b"no" if tracking.opt_out => Some(false),
            b"no" => {
                return Err(
                    b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT \
                    mode."
                        .to_vec(),
                );
            }
            _ => return Err(SYNTAX_ERROR.to_vec()),
        };
        Ok(Reply::ok())
    }

    /// `CLIENT GETREDIR`
    pub(crate) fn client_getredir(&self) -> Reply {
        match &self.tracking {
            Some(tracking) => Reply::Integer(tracking.redirect.cast_signed()),
            None => Reply::Integer(-1),
        }
    }

    /// `CLIENT TRACKINGINFO`
    pub(crate) fn client_trackinginfo(&self, order: &mut OrderGuard<'_>) -> Reply {
        let is_broken = order.keyspace().is_tracking_broken(self.info.id);
        let prefixes = order.keyspace().tracked_prefixes(self.info.id);
        let prefixes = prefixes.into_iter().flat_map(Prefixes::iter);
        let tracking = self.tracking.clone().unwrap_or_default();
        let mut flags = vec![if self.tracking.is_some() { "on" } else { "off" }];
        let caching = (tracking.opt_in && tracking.caching == Some(true), "caching-yes");
        let not_caching = (tracking.opt_out && tracking.caching == Some(false), "caching-no");
        let opt_in = (tracking.opt_in, "optin");
        let opt_out = (tracking.opt_out, "optout");
        let rest = [(tracking.broadcast, "bcast"), opt_in, caching, opt_out, not_caching];
        flags.extend(rest.iter().filter(|(holds, _)| *holds).map(|(_, name)| name));
        if tracking.no_loop {
            flags.push("noloop");
        }
        if is_broken {
            flags.push("broken_redirect");
        }
        Reply::Map(vec![
            (Reply::bulk("flags"), Reply::Set(flags.iter().map(Reply::bulk).collect())),
            (Reply::bulk("redirect"), self.client_getredir()),
            (Reply::bulk("prefixes"), Reply::Array(prefixes.map(Reply::bulk).collect())),
        ])
    }
}

/// Refuses prefixes that overlap with one that the client has, or with each other.
fn check_prefixes(known: Option<&Prefixes>, wanted: &[&[u8]]) -> Result<(), CommandError> {
    let overlap = first_overlap(wanted);
    for (index, prefix) in wanted.iter().enumerate() {
        let known = known.and_then(|known| known.overlapping(prefix));
        let provided = || overlap.filter(|(one, _)| *one == index).map(|(_, other)| wanted[other]);
        let found = known
            .map(|other| (&b"an existing"[..], other))
            .or_else(|| provided().map(|other| (&b"another provided"[..], other)));
        if let Some((which, other)) = found {
            return Err([
                b"ERR Prefix '",
                *prefix,
                b"' overlaps with ",
                which,
                b" prefix '",
                other,
                b"'. Prefixes for a single client must not overlap.",
            ]
            .concat());
        }
    }
    Ok(())
}
