//! Unique names, in .NET's GUID format.

/// The text of a GUID, for compact storage.
pub(crate) type Guid = [u8; 36];

/// Returns a new GUID, such as `0b6ff2a4-2f4b-4c33-9d0a-5e6b9e8f7a10`.
pub(crate) fn guid() -> String {
    // Version 4, variant 1.
    let bits: u128 = rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_form_of_a_random_one() {
        let guid = guid();
        let lengths: Vec<_> = guid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{guid}");
        assert_eq!(&guid[14..15], "4");
        assert!(matches!(&guid[19..20], "8" | "9" | "a" | "b"), "{guid}");
        assert_ne!(guid, super::guid());
    }
}
