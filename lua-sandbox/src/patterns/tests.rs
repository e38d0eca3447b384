//! Ours beside Lua's own functions.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Lua, StdLib};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{Commands, Level};
use resp::Protocol;
use resp::request::Request;

/// A server that lets a script go on for so many steps.
struct Patient(u32);

impl Commands for Patient {
    fn call(&mut self, _: Request<'_>) -> std::result::Result<Vec<u8>, Vec<u8>> {
        Err(b"there is no command".to_vec())
    }

    fn may_run(&self, _: Request<'_>) -> Option<bool> {
        None
    }

    fn set_protocol(&mut self, _: Protocol) {}

    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }

    fn log(&self, _: Level, _: &[u8]) {}

    fn may_go_on(&self) -> bool {
        self.0 > 0
    }
}

/// Lua with its own functions in `theirs`, and with ours in `ours`.
fn both(server: Patient) -> Lua {
    let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE, mlua::LuaOptions::new()).unwrap();
    let original = lua.globals();
    let theirs: Table = original.get("string").unwrap();
    let copy = lua.create_table().unwrap();
    for pair in theirs.pairs::<Value, Value>() {
        let (name, function) = pair.unwrap();
        copy.raw_set(name, function).unwrap();
    }
    let server: Server = Rc::new(RefCell::new(server));
    let ours = library(&lua, copy, &original, &server).unwrap();
    original.set("theirs", theirs).unwrap();
    original.set("ours", ours).unwrap();
    let visible = lua.create_function(super::super::failure::visible);
    original.set("visible", visible.unwrap()).unwrap();
    lua.load(RUN).set_name("=test").exec().unwrap();
    lua
}

/// Runs one function of a library, and writes down all that comes of it.
const RUN: &str = r"
function show(...)
  local out = {}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    out[i] = type(value) .. ':' .. tostring(value)
  end
  return table.concat(out, '|')
end

function run(string, name, subject, pattern, third, fourth)
  local heard = {}
  local uses = {
    fun = function(...) heard[#heard + 1] = show(...) return (...) end,
    none = function() end,
    wrong = function() return true end,
    raises = function() error('raised', 0) end,
    map = {a = 'A', b = false, ab = 12, [1] = 'one'},
    rules = setmetatable({}, {__index = function(_, key) return key end}),
  }
  if name == 'gsub' and uses[third] then third = uses[third] end
  local function seen(ok, ...)
    if ok then return ok, ... end
    return ok, visible((...))
  end
  local results
  if name == 'gmatch' then
    results = show(seen(pcall(function()
      for a, b, c in string.gmatch(subject, pattern) do heard[#heard + 1] = show(a, b, c) end
    end)))
  else
    results = show(seen(pcall(string[name], subject, pattern, third, fourth)))
  end
  return results .. ' after ' .. table.concat(heard, ' ')
end
";

/// Texts of few letters, so that something matches, with all that means something in a pattern.
fn pattern() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "a", "b", "f", "1", ".", "%a", "%d", "%W", "%s", "%z", "%%", "%", "[", "]", "[ab]",
            "[^a]", "[a-f]", "[%d-]", "[]]", "[^]a]", "[a-]", "*", "+", "-", "?", "(", ")", "()",
            "%1", "%2", "%0", "^", "$", "%b()", "%bab", "%b", "%f[%a]", "%f[^a]", "%f", "\0", " ",
        ][..],
    );
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat().into_bytes())
}

fn subject() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(select(&b"aabbf1 ()%]-^\0\xff"[..]), 0..12)
}

fn third() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &["a", "%0", "%1", "%2", "%%", "%", "%a", "\0", "3", "-2", "fun", "none", "map"][..],
    );
    let whole =
        select(&["fun", "none", "wrong", "raises", "map", "rules", "1", "-3", "4", "99"][..]);
    prop_oneof![
        prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat().into_bytes()),
        whole.prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// What becomes of a call; the places that errors name differ, since Lua's own functions are called
/// by C here.
fn run(lua: &Lua, library: &str, name: &str, words: [&[u8]; 3], fourth: Option<i64>) -> String {
    let globals = lua.globals();
    let run: Function = globals.get("run").unwrap();
    let library: Table = globals.get(library).unwrap();
    let [subject, pattern, third] = words.map(|word| lua.create_string(word).unwrap());
    let third = match (name, third.as_bytes().is_empty()) {
        ("find" | "match", true) => Value::Nil,
        _ => Value::String(third),
    };
    let shown: LuaString = run.call((library, name, subject, pattern, third, fourth)).unwrap();
    shown.as_bytes().escape_ascii().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ours_do_what_luas_do(
        name in select(&["find", "match", "gmatch", "gsub"][..]),
        subject in subject(),
        pattern in pattern(),
        third in third(),
        fourth in prop::option::of(-1_i64..4),
    ) {
        thread_local!(static LUA: Lua = both(Patient(1)));
        LUA.with(|lua| {
            let words = [&subject[..], &pattern, &third];
            let theirs = run(lua, "theirs", name, words, fourth);
            let ours = run(lua, "ours", name, words, fourth);
            prop_assert_eq!(ours, theirs);
            Ok(())
        })?;
    }
}

#[test]
fn whoever_is_to_end_ends_in_the_middle_of_a_pattern() {
    let lua = both(Patient(0));
    for call in [
        "find(('a'):rep(40), ('a-'):rep(30) .. 'b')",
        "match(('a'):rep(40), ('a*'):rep(30) .. 'b')",
        "match(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
        "gsub(('a'):rep(40), ('a*'):rep(30) .. 'b', '')",
        "gmatch(('a'):rep(40), ('a*'):rep(30) .. 'b')()",
        "find(('('):rep(1e6), '%b()')",
        "find(('a'):rep(1e6), 'a*b')",
    ] {
        let ended = lua.load(format!("return ours.{call}")).exec();
        let error = ended.expect_err(call).to_string();
        assert!(error.contains("error of a library function"), "{call}: {error}");
    }
}
