//! Writes serde's values as MessagePack.
//!
//! Every number and length has its shortest form. Structs are maps with the names of their fields,
//! and enum variants are names, as .NET writes them. Types that distinguish text from binary formats
//! become text, since .NET writes a GUID as text too. So a value is the same in a broadcast, which
//! travels as JSON, and in a result. Only a newtype named [`BLOB`] and extensions are binary.

use rmp::encode::{self, ByteBuf};
use rmp_serde::{MSGPACK_EXT_STRUCT_NAME, encode::Error};
use serde::ser::{self, Error as _, Serialize, Serializer};

use super::BLOB;
use super::reader::NESTING_MAX;

/// A serializer that appends to a vector.
///
/// The vector holds half a value after an error.
pub(super) struct Writer<'a> {
    bytes: &'a mut ByteBuf,
    depth: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(bytes: &'a mut ByteBuf) -> Self {
        Self { bytes, depth: 0 }
    }

    /// Begins an array or a map. A length that is unknown, or turns out as another one, is replaced
    /// at its end.
    fn open(&mut self, kind: Kind, length: Option<usize>) -> Result<Compound<'_, 'a>, Error> {
        if self.depth == NESTING_MAX {
            return Err(Error::DepthLimitExceeded);
        }
        self.depth += 1;
        let announced = length.unwrap_or(0);
        let head = self.bytes.as_slice().len();
        kind.write_head(announced, self.bytes)?;
        let content = self.bytes.as_slice().len();
        Ok(Compound { writer: self, kind, announced, written: 0, head, content, levels: 1 })
    }

    /// Begins the content of an enum variant: a map whose only key is the variant.
    fn open_variant(
        &mut self,
        variant: &str,
        kind: Kind,
        length: usize,
    ) -> Result<Compound<'_, 'a>, Error> {
        self.open_entry(variant)?;
        let content = self.open(kind, Some(length))?;
        Ok(Compound { levels: 2, ..content })
    }

    /// Begins a map with one entry. Its value is next.
    fn open_entry(&mut self, key: &str) -> Result<(), Error> {
        self.open(Kind::Map, Some(1))?;
        self.serialize_str(key)
    }
}

impl<'c, 'a> Serializer for &'c mut Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'c, 'a>;
    type SerializeTuple = Compound<'c, 'a>;
    type SerializeTupleStruct = Compound<'c, 'a>;
    type SerializeTupleVariant = Compound<'c, 'a>;
    type SerializeMap = Compound<'c, 'a>;
    type SerializeStruct = Compound<'c, 'a>;
    type SerializeStructVariant = Compound<'c, 'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        let Ok(()) = encode::write_bool(self.bytes, value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        let Ok(_) = encode::write_sint(self.bytes, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.serialize_i64(value),
            (_, Ok(value)) => self.serialize_u64(value),
            _ => Err(out_of_range()),
        }
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        let Ok(_) = encode::write_uint(self.bytes, value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.serialize_u64(value.try_into().map_err(|_| out_of_range())?)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        let Ok(()) = encode::write_f32(self.bytes, value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        let Ok(()) = encode::write_f64(self.bytes, value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        let Ok(()) = encode::write_str(self.bytes, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        let Ok(()) = encode::write_bin(self.bytes, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        let Ok(()) = encode::write_nil(self.bytes);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match name {
            // This serializer is a binary one, so a blob writes its bytes.
            BLOB | MSGPACK_EXT_STRUCT_NAME => rmp_serde::Serializer::new(self.bytes.as_mut_vec())
                .serialize_newtype_struct(name, value),
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_entry(variant)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'c, 'a>, Error> {
        self.open(Kind::Array, length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound<'c, 'a>, Error> {
        self.open(Kind::Array, Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Compound<'c, 'a>, Error> {
        self.open(Kind::Array, Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'c, 'a>, Error> {
        self.open_variant(variant, Kind::Array, length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'c, 'a>, Error> {
        self.open(Kind::Map, length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Compound<'c, 'a>, Error> {
        self.open(Kind::Map, Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'c, 'a>, Error> {
        self.open_variant(variant, Kind::Map, length)
    }
}

/// An open array or map.
pub(super) struct Compound<'c, 'a> {
    writer: &'c mut Writer<'a>,
    kind: Kind,
    /// Length in the head.
    announced: usize,
    /// Number of elements, or of values of a map.
    written: usize,
    /// The place of the head.
    head: usize,
    /// The place behind the head.
    content: usize,
    /// Number of arrays and maps that end with this one.
    levels: usize,
}

impl Compound<'_, '_> {
    /// Writes an element, or the value of an entry.
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.written += 1;
        value.serialize(&mut *self.writer)
    }

    fn entry<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.writer.serialize_str(key)?;
        self.item(value)
    }

    fn close(self) -> Result<(), Error> {
        if self.written != self.announced {
            let mut head = ByteBuf::new();
            self.kind.write_head(self.written, &mut head)?;
            let bytes = self.writer.bytes.as_mut_vec();
            bytes.splice(self.head..self.content, head.into_vec());
        }
        self.writer.depth -= self.levels;
        Ok(())
    }
}

macro_rules! elements {
    ($($compound:ident::$method:ident),*) => {
        $(impl ser::$compound for Compound<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

elements!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($compound:ident),*) => {
        $(impl ser::$compound for Compound<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.entry(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut *self.writer)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Map,
}

impl Kind {
    fn write_head(self, length: usize, bytes: &mut ByteBuf) -> Result<(), Error> {
        let length = u32::try_from(length).map_err(|_| out_of_range())?;
        let Ok(_) = match self {
            Self::Array => encode::write_array_len(bytes, length),
            Self::Map => encode::write_map_len(bytes, length),
        };
        Ok(())
    }
}

fn out_of_range() -> Error {
    Error::custom("expected a number or a length that MessagePack can hold")
}
