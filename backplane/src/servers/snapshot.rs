//! All members of a server, in parts: one message for all of them could exceed the limits of a
//! broker.

use super::presence::Changed;

/// The parts of a snapshot that have arrived.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    version: u64,
    /// The number of parts.
    parts: u32,
    members: Vec<Changed<'static>>,
}

/// The place of a message in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The version of the members.
    pub(super) version: u64,
    /// From 0.
    pub(super) number: u32,
    /// Whether another part follows.
    pub(super) has_more: bool,
}

/// Bytes of a part, approximately.
const PART_SIZE: usize = 256 * 1024;
/// Bytes of a member in JSON besides its texts, approximately.
const MEMBER_SIZE: usize = 48;

/// Divides all members, with the place of each part. No member is one part as well.
pub(super) fn split(
    version: u64,
    members: Vec<Changed<'static>>,
) -> Vec<(Part, Vec<Changed<'static>>)> {
    let (mut parts, mut size) = (vec![Vec::new()], 0);
    for member in members {
        let bytes = MEMBER_SIZE + member.text_len();
        if size > 0 && size + bytes > PART_SIZE {
            parts.push(Vec::new());
            size = 0;
        }
        size += bytes;
        parts.last_mut().expect("there is one").push(member);
    }
    let last = parts.len() - 1;
    let place = |index| {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Part { version, number, has_more: index < last }
    };
    parts.into_iter().enumerate().map(|(index, members)| (place(index), members)).collect()
}

impl Snapshot {
    /// Adds a part. Returns all members after the last one. After a lost part, nothing is returned
    /// until a new snapshot begins.
    pub(super) fn add(
        &mut self,
        part: Part,
        members: &[Changed<'_>],
    ) -> Option<Vec<Changed<'static>>> {
        if part.number == 0 {
            *self = Self { version: part.version, ..Self::default() };
        } else if (part.version, part.number) != (self.version, self.parts) {
            *self = Self::default();
            return None;
        }
        self.parts = part.number.checked_add(1)?;
        self.members.extend(members.iter().map(Changed::to_static));
        (!part.has_more).then(|| std::mem::take(self).members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Vec<Changed<'static>> {
        let name = |number| format!("{number}-{}", "c".repeat(1000));
        (0..count).map(|number| Changed::joined("room", &name(number), 5)).collect()
    }

    fn add(
        snapshot: &mut Snapshot,
        (part, members): &(Part, Vec<Changed<'static>>),
    ) -> Option<Vec<Changed<'static>>> {
        snapshot.add(*part, members)
    }

    #[test]
    fn all_parts_make_the_snapshot() {
        let all = members(1000);
        let parts = split(7, all.clone());
        assert!(parts.len() > 3, "{}", parts.len());
        for (part, members) in &parts {
            let bytes = serde_json::to_vec(members).unwrap().len();
            assert!(bytes <= PART_SIZE, "{part:?} has {bytes} bytes");
        }
        let mut snapshot = Snapshot::default();
        let (last, others) = parts.split_last().unwrap();
        assert!(others.iter().all(|part| add(&mut snapshot, part).is_none()));
        assert_eq!(add(&mut snapshot, last), Some(all));
        assert_eq!(add(&mut snapshot, last), None, "it came before");
    }

    #[test]
    fn a_lost_part_ends_the_snapshot() {
        let parts = split(7, members(1000));
        let mut snapshot = Snapshot::default();
        let rest = parts.iter().filter(|(part, _)| part.number != 1);
        assert!(rest.clone().all(|part| add(&mut snapshot, part).is_none()));
        // The first part of another version.
        add(&mut snapshot, &split(8, members(1000))[0]);
        assert!(rest.skip(1).all(|part| add(&mut snapshot, part).is_none()));
        let none = split(9, Vec::new());
        assert_eq!(add(&mut snapshot, &none[0]), Some(Vec::new()));
    }
}
