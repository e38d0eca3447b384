//! The library `bit`: Lua BitOp, on integers of 32 bits.

use mlua::{Lua, Result, Table};

use super::arguments::{Arguments, function};
use super::failure::type_error;

pub(super) fn library(lua: &Lua) -> Result<Table> {
    let bit = lua.create_table()?;
    let one = |name, call: fn(u32) -> u32| {
        function(lua, &bit, name, move |lua, given| Ok(signed(call(bits(lua, &given, 1)?))))
    };
    one("tobit", |value| value)?;
    one("bnot", |value| !value)?;
    one("bswap", u32::swap_bytes)?;
    let all = |name, call: fn(u32, u32) -> u32| {
        function(lua, &bit, name, move |lua, given| {
            let mut value = bits(lua, &given, 1)?;
            for number in (2..=given.len()).rev() {
                value = call(value, bits(lua, &given, number)?);
            }
            Ok(signed(value))
        })
    };
    all("band", |one, other| one & other)?;
    all("bor", |one, other| one | other)?;
    all("bxor", |one, other| one ^ other)?;
    let shift = |name, call: fn(u32, u32) -> u32| {
        function(lua, &bit, name, move |lua, given| {
            Ok(signed(call(bits(lua, &given, 1)?, bits(lua, &given, 2)? & 31)))
        })
    };
    shift("lshift", |value, count| value << count)?;
    shift("rshift", |value, count| value >> count)?;
    shift("arshift", |value, count| (value.cast_signed() >> count).cast_unsigned())?;
    shift("rol", u32::rotate_left)?;
    shift("ror", u32::rotate_right)?;
    function(lua, &bit, "tohex", |lua, given| {
        let value = bits(lua, &given, 1)?;
        let digits = if given.len() < 2 { 8 } else { bits(lua, &given, 2)?.cast_signed() };
        let all = match digits {
            ..0 => format!("{value:08X}"),
            _ => format!("{value:08x}"),
        };
        let shown = digits.unsigned_abs().min(8) as usize;
        Ok(all[8 - shown..].to_owned())
    })?;
    Ok(bit)
}

/// Rounds an argument to the nearest integer and returns its low 32 bits.
fn bits(lua: &Lua, given: &Arguments<'_>, number: usize) -> Result<u32> {
    /// 2^52 + 2^51. The sum with a double has the integer part in its low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;

    let value = given.as_number(number)?;
    let bits = (value.unwrap_or(0.0) + SHIFT).to_bits() as u32;
    if bits == 0 && value.is_none() {
        return Err(type_error(lua, number, "number", given.get(number)));
    }
    Ok(bits)
}

fn signed(value: u32) -> f64 {
    value.cast_signed().into()
}
