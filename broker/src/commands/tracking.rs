//! `CLIENT TRACKING` and `CLIENT CACHING`: client-side caching.

use std::collections::BTreeSet;

use super::Answer;
use super::client::on_or_off;
use super::errors::{CommandError, NOT_AN_INTEGER, SYNTAX_ERROR};
use super::spec::Spec;
use crate::keyspace::Tracker;
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
        let wanted = self.parse_tracking(request)?;
        if on_or_off(request.argument(2))? {
            self.check_tracking(&wanted)?;
            let mut prefixes = self.tracking.take().map_or_else(Vec::new, |known| known.prefixes);
            let mut known: BTreeSet<Vec<u8>> = prefixes.iter().cloned().collect();
            let new = wanted.prefixes.iter().filter(|prefix| !prefix.is_empty());
            prefixes.extend(new.filter(|prefix| known.insert((*prefix).clone())).cloned());
            if wanted.broadcast && prefixes.is_empty() {
                prefixes.push(Vec::new());
            }
            let tracking = Tracking { prefixes, ..wanted };
            let tracker = self.tracker(&tracking);
            order.keyspace().track(self.info.id, tracker);
            self.tracking = Some(Box::new(tracking));
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
        let prefixes = tracking.prefixes.iter().map(|prefix| prefix.as_slice().into());
        Tracker {
            own: self.info.recipient(),
            other: other.map(|info| info.recipient()),
            is_broken: false,
            prefixes: tracking.broadcast.then(|| prefixes.collect()),
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
        if let Some(tracking) = &mut self.tracking
            && self.transaction.is_none()
            && !spec.name.starts_with("client")
        {
            tracking.caching = None;
        }
    }

    fn parse_tracking(&self, request: Request<'_>) -> Result<Tracking, CommandError> {
        let mut wanted = Tracking::default();
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
                b"prefix" => wanted.prefixes.push(options.next().ok_or(SYNTAX_ERROR)?.to_vec()),
                b"bcast" => wanted.broadcast = true,
                b"optin" => wanted.opt_in = true,
                b"optout" => wanted.opt_out = true,
                b"noloop" => wanted.no_loop = true,
                _ => return Err(SYNTAX_ERROR.to_vec()),
            }
        }
        Ok(wanted)
    }

    fn check_tracking(&self, wanted: &Tracking) -> Result<(), CommandError> {
        if !wanted.broadcast && !wanted.prefixes.is_empty() {
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
        self.check_prefixes(&wanted.prefixes)
    }

    /// Refuses a prefix that is the beginning of another one: both would match the same keys.
    fn check_prefixes(&self, wanted: &[Vec<u8>]) -> Result<(), CommandError> {
        let known = self.tracking.as_ref().map_or(&[][..], |tracking| &tracking.prefixes);
        // In sorted order, a prefix comes immediately before one that it is the beginning of, so
        // many prefixes are checked fast. The search below finds the words of the error.
        let all: BTreeSet<&[u8]> = known.iter().chain(wanted).map(Vec::as_slice).collect();
        let is_repeated = wanted.iter().collect::<BTreeSet<_>>().len() < wanted.len();
        let overlaps = all.iter().zip(all.iter().skip(1)).any(|(one, next)| next.starts_with(one));
        if !is_repeated && !overlaps {
            return Ok(());
        }
        for (index, prefix) in wanted.iter().enumerate() {
            let overlaps =
                |other: &&Vec<u8>| other.starts_with(prefix) || prefix.starts_with(other);
            let known = known.iter().filter(|known| *known != prefix).find(overlaps);
            let provided = || wanted[index + 1..].iter().find(overlaps);
            let found = known
                .map(|other| (&b"an existing"[..], other))
                .or_else(|| provided().map(|other| (&b"another provided"[..], other)));
            if let Some((which, other)) = found {
                return Err([
                    b"ERR Prefix '",
                    &prefix[..],
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
            (
                Reply::bulk("prefixes"),
                Reply::Array(tracking.prefixes.iter().map(Reply::bulk).collect()),
            ),
        ])
    }
}
