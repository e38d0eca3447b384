//! What scripts see and what comes of them, without a server.

use super::*;

/// A server that knows `ECHO`, `FAIL` and `SLEEPY`.
struct Fake {
    protocol: Protocol,
    killed: bool,
}

impl Commands for Fake {
    fn call(&mut self, request: resp::request::Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        match request.argument(0) {
            b"ECHO" => {
                let mut out = Vec::new();
                resp::reply::bulk(&mut out, request.argument(1));
                Ok(out)
            }
            b"RAW" => Ok(request.argument(1).to_vec()),
            b"KILL" => {
                self.killed = true;
                Ok(b"+OK\r\n".to_vec())
            }
            b"FAIL" => Ok(b"-ERR it failed\r\n".to_vec()),
            _ => Err(b"ERR Unknown Redis command called from script".to_vec()),
        }
    }

    fn may_run(&self, request: resp::request::Request<'_>) -> Option<bool> {
        (request.argument(0) == b"ECHO").then_some(true)
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn log(&self, _: Level, _: &[u8]) {}

    fn may_go_on(&self) -> bool {
        !self.killed
    }
}

struct Bench(Vm, Rc<RefCell<Fake>>);

impl Bench {
    fn new() -> Self {
        let fake = Rc::new(RefCell::new(Fake { protocol: Protocol::Resp2, killed: false }));
        Self(Vm::new(fake.clone(), "7.2.0").unwrap(), fake)
    }

    fn run(&mut self, text: &str) -> String {
        let sha = sha1_smol::Sha1::from(text).digest().to_string();
        let script = Script { sha: sha.as_bytes(), code: text.as_bytes() };
        *self.1.borrow_mut() = Fake { protocol: Protocol::Resp2, killed: false };
        let given =
            Parameters { keys: vec![b"k".to_vec()], arguments: vec![b"a".to_vec(), b"b".to_vec()] };
        let answered = self.0.run(script, &given, Protocol::Resp2);
        let text = answered.reply.escape_ascii().to_string();
        text.replace(&sha, "SHA")
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(Bench::new().run(text), expected, "{text}");
}

#[test]
fn values_become_replies() {
    check("return 1", r":1\r\n");
    check("return 3.99", r":3\r\n");
    check("return 'a'", r"$1\r\na\r\n");
    check("return nil", r"$-1\r\n");
    check("return false", r"$-1\r\n");
    check("return true", r":1\r\n");
    check("return {1,'a',nil,2}", r"*2\r\n:1\r\n$1\r\na\r\n");
    check("return {ok='fine'}", r"+fine\r\n");
    check("return {err='My error'}", r"-My error\r\n");
    check("return {KEYS[1],ARGV[1],ARGV[2]}", r"*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\nb\r\n");
    check("return redis.call('ECHO', 1.5)", r"$3\r\n1.5\r\n");
}

#[test]
fn errors_say_where_they_happened() {
    check("return redis.call('FAIL')", r"-ERR it failed script: SHA, on @user_script:1.\r\n");
    check("return redis.pcall('FAIL')", r"-ERR it failed\r\n");
    check("\nerror('x')", r"-ERR user_script:2: x script: SHA, on @user_script:2.\r\n");
    check("error({err='My x'})", r"-My x script: SHA, on @user_script:1.\r\n");
    check(
        "return foo",
        r"-ERR user_script:1: Script attempted to access nonexistent global variable \'foo\' script: SHA, on @user_script:1.\r\n",
    );
    check(
        "foo = 1",
        r"-ERR user_script:1: Attempt to modify a readonly table script: SHA, on @user_script:1.\r\n",
    );
    check(
        "return redis.call('nosuch')",
        r"-ERR Unknown Redis command called from script script: SHA, on @user_script:1.\r\n",
    );
    check("local ok, e = pcall(redis.call, 'FAIL') return e", r"$13\r\nERR it failed\r\n");
    check(
        "return cjson.decode('[')",
        r"-ERR user_script:1: Expected value but found T_END at character 2 script: SHA, on @user_script:1.\r\n",
    );
    check("return", r"$-1\r\n");
    check(
        "retur",
        r"-ERR Error compiling script (new function): user_script:1: \'=\' expected near \'<eof>\'\r\n",
    );
}

#[test]
fn nothing_of_a_script_stays() {
    let mut bench = Bench::new();
    for text in [
        "string.x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(string, 'x', 1)",
        "setmetatable(_G, {})",
        "getmetatable('').__index = 1",
        "redis.call = 1",
        "setmetatable(string, {})",
        "for k, v in pairs(_G) do _G[k] = 1 end",
        "table.insert(_G, 'leak')",
        "table.insert(redis, 1, 'leak')",
        "table.insert(string, 'leak')",
        "table.insert(getmetatable(_G), 'leak')",
    ] {
        let reply = bench.run(text);
        assert!(reply.contains("Attempt to modify a readonly table"), "{text}: {reply}");
    }
    assert_eq!(bench.run("return type(redis.call)"), r"$8\r\nfunction\r\n");
    assert_eq!(bench.run("return type(loadstring('return redis')().call)"), r"$8\r\nfunction\r\n");
}

#[test]
fn what_cannot_be_changed_can_be_read() {
    for (text, expected) in [
        ("return #table.concat(redis) + table.getn(math) + table.maxn(_G)", ":0"),
        ("return table.remove(_G)", "$-1"),
        ("local n = 0 table.foreach(bit, function() n = n + 1 end) return n", ":12"),
        ("return string.byte(cmsgpack.pack(bit))", ":140"),
        ("return getmetatable('').__metatable", "$-1"),
        ("return getmetatable(_G) == getmetatable(_G)", ":1"),
    ] {
        check(text, &format!(r"{expected}\r\n"));
    }
    let reply = Bench::new().run("return cjson.encode(redis)");
    assert!(reply.contains("Cannot serialise function"), "{reply}");
}

#[test]
fn what_a_script_may_ask_for_often_takes_no_more_each_time() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        let reply = bench.run("for i = 1, 1000 do getmetatable(_G) end return 1");
        assert_eq!(reply, r":1\r\n");
    }
}

#[test]
fn errors_show_nothing_of_how_scripts_are_run() {
    for (text, expected) in [
        ("pcall(error, 'x')", "x"),
        ("pcall(error, 'x', 2)", "user_script:1: x"),
        ("pcall(error, 'x', {})", "bad argument #2 to '?' (number expected, got table)"),
        ("pcall(function() error('x', 2) end)", "x"),
        ("pcall(function() error('x', 3) end)", "user_script:1: x"),
        ("pcall(function() error(5) end)", "user_script:1: 5"),
        (
            "pcall(function() local w = coroutine.wrap w(1) end)",
            "user_script:1: bad argument #1 to 'w' (Lua function expected)",
        ),
        (
            "pcall(function() coroutine.resume(1) end)",
            "user_script:1: bad argument #1 to 'resume' (coroutine expected)",
        ),
        (
            "pcall(function() xpcall(1) end)",
            "user_script:1: bad argument #2 to 'xpcall' (value expected)",
        ),
        (
            "pcall(function() table.foreach(1) end)",
            "user_script:1: bad argument #1 to 'foreach' (table expected, got number)",
        ),
        (
            "pcall(function() table.insert({}) end)",
            "user_script:1: wrong number of arguments to 'insert'",
        ),
    ] {
        let length = expected.len();
        let expected = expected.replace('\'', r"\'");
        check(&format!("local _, e = {text} return e"), &format!(r"${length}\r\n{expected}\r\n"));
    }
}

#[test]
fn nothing_outside_can_be_reached() {
    for name in
        ["io", "os", "debug", "package", "require", "dofile", "loadfile", "print", "newproxy"]
    {
        let reply = Bench::new().run(&format!("return {name}"));
        assert!(reply.contains("nonexistent global variable"), "{name}: {reply}");
    }
    let reply = Bench::new().run("return loadstring(string.dump(function() return 1 end))");
    assert_eq!(reply, r"$-1\r\n");
}

#[test]
fn a_script_that_is_killed_ends_wherever_it_is() {
    let killed = "-ERR Script killed by user with SCRIPT KILL...";
    for text in [
        "redis.call('KILL') while true do end",
        "redis.call('KILL') while true do pcall(function() while true do end end) end",
        "redis.call('KILL') while true do xpcall(function() while true do end end, function() return 1 end) end",
        "redis.call('KILL') local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
        "redis.call('KILL') while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "redis.call('KILL') local t = 1 for i = 1, 40 do t = {t, t} end return t",
        "redis.call('KILL') local t = 1 for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
        "redis.call('KILL') local t = 1 for i = 1, 9 do t = {t, t, t, t, t} end return cmsgpack.pack(t)",
        "redis.call('KILL') return cjson.encode(string.rep('x', 1e5))",
        "redis.call('KILL') return cjson.decode('[' .. string.rep('1,', 1e5) .. '1]')",
        "local s = '\"' .. string.rep('x', 1e5) .. '\"' redis.call('KILL') return cjson.decode(s)",
        "local s = '\"' .. string.rep('\\\\n', 1e5) .. '\"' redis.call('KILL') return cjson.decode(s)",
        "local s = string.rep(' ', 1e5) .. 1 redis.call('KILL') return cjson.decode(s)",
        "local s = '\\220\\255\\255' .. string.rep('1', 65535) redis.call('KILL') return cmsgpack.unpack(s)",
        "local s = string.rep(' ', 1e5) redis.call('KILL') return struct.size(s)",
        "local s = string.rep('x', 1e5) redis.call('KILL') return redis.sha1hex(s)",
        "redis.call('KILL') return string.rep('x', 1e5)",
        "redis.call('KILL') return load(gcinfo)",
        "redis.call('KILL') return load(function() while true do end end)",
        "redis.call('KILL') string.gsub(string.rep('a', 1000), 'a', function() while true do end end)",
        "redis.call('KILL') table.sort({3,2,1}, function() while true do end end)",
        "redis.call('KILL') table.insert({1}, -2147483648, 1)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') table.insert(t, 1, 0)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') table.remove(t, 1)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') table.sort(t)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') table.sort(t, rawequal)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') return table.concat(t)",
        "local t = {} for i = 1, 1e5 do t[i] = i end redis.call('KILL') return table.maxn(t)",
        "local s = string.rep('x', 1e5) redis.call('KILL') return string.upper(s)",
        "local s = string.rep('x', 1e5) redis.call('KILL') return s:find('y', 1, true)",
        "local s = string.rep('x', 1e5) redis.call('KILL') return table.concat({s, s})",
        "local s = string.rep('x', 1e5) redis.call('KILL') return s:lower()",
        "local s = string.rep('x', 1e5) redis.call('KILL') return s:reverse()",
        "redis.call('KILL') while true do collectgarbage() end",
        "redis.call('KILL') return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ] {
        let reply = Bench::new().run(text);
        assert!(reply.starts_with(killed), "{text}: {reply}");
    }
}

#[test]
fn tables_change_as_in_lua() {
    let long = "local t = {} for i = 1, 20000 do t[i] = i end";
    for (code, expected) in [
        ("table.insert(t, 1, 'x') return {#t, t[1], t[2], t[20001]}", "20001 x 1 20000"),
        ("table.insert(t, -5, 'x') return {t[-5], t[-4], t[2], t[20001]}", "x nil 1 20000"),
        ("table.insert(t, 30000, 'x') return {#t, t[30000]}", "20000 x nil nil"),
        ("return {table.remove(t, 1), #t, t[1], t[19999]}", "1 19999 2 20000"),
        ("return {table.remove(t), #t}", "20000 19999 nil nil"),
        (
            "return {select('#', table.remove(t, 0)), select('#', table.remove(t, 20001))}",
            "0 0 nil nil",
        ),
        (
            "table.sort(t, function(a, b) return a > b end) return {#t, t[1], t[20000]}",
            "20000 20000 1 nil",
        ),
        (
            "t[1], t[20000] = 20000, 1 table.sort(t) return {#t, t[1], t[20000]}",
            "20000 1 20000 nil",
        ),
    ] {
        let reply = Bench::new().run(&format!(
            "{long} local function f() {code} end local r = f() for i = 1, 4 do r[i] = tostring(r[i]) end return table.concat(r, ' ')"
        ));
        assert_eq!(reply, format!(r"${}\r\n{expected}\r\n", expected.len()), "{code}");
    }
    for (text, expected) in [
        ("table.sort({1, 2, 3, {}})", "attempt to compare table with number"),
        (
            "table.sort(big, function() return true end)",
            "user_script:1: invalid order function for sorting",
        ),
        ("local t = big t[5] = 'x' table.sort(t)", "attempt to compare string with number"),
        (
            "local t = big t[5] = 'x' table.sort(t, math.max)",
            "bad argument #1 to '?' (number expected, got string)",
        ),
        ("table.sort(big, function() error('mine') end)", "user_script:1: mine"),
        ("table.sort(big, function() error({}) end)", "table"),
        ("table.sort(1)", "user_script:1: bad argument #1 to 'sort' (table expected, got number)"),
        (
            "table.sort({}, 1)",
            "user_script:1: bad argument #2 to 'sort' (function expected, got number)",
        ),
        (
            "table.remove(1)",
            "user_script:1: bad argument #1 to 'remove' (table expected, got number)",
        ),
    ] {
        let reply = Bench::new().run(&format!(
            "local big = {{}} for i = 1, 300 do big[i] = i end local ok, e = pcall(function() {text} end) return tostring(e)"
        ));
        let expected = expected.replace('\'', r"\'");
        let start = reply.split_once(r"\r\n").unwrap().1;
        assert!(start.starts_with(&expected), "{text}: {reply}");
    }
}

#[test]
fn ten_thousand_scripts_run() {
    let mut bench = Bench::new();
    for number in (0..10_000).chain([0, 9_999]) {
        assert_eq!(bench.run(&format!("return {number}")), format!(r":{number}\r\n"));
    }
}

#[test]
fn many_scripts_leave_room_for_many_arguments() {
    let mut bench = Bench::new();
    for number in 0..1000 {
        bench.run(&format!("return {number}"));
    }
    let reply = bench.run(
        "local t = {'x'} for i = 1, 7900 do t[#t + 1] = 'k' .. i end return redis.call('ECHO', unpack(t))",
    );
    assert_eq!(reply, r"$1\r\nx\r\n");
}

#[test]
fn what_would_exhaust_us_is_an_error_and_what_uses_much_is_none() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(exhaust).unwrap().join().unwrap();
}

fn exhaust() {
    let mut bench = Bench::new();
    for text in [
        "local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e9)",
        "local function f() return 1 + f() end return f()",
        "local function f() local ok, e = pcall(f) if not ok then error(e) end end f()",
        "local function f() coroutine.wrap(f)() end f()",
        "return string.find(string.rep('a', 1e6), string.rep('a?', 1e6))",
        "return unpack({}, 1, 1e8)",
        "return #cjson.encode(string.rep('\\0', 5e7))",
        "local s = string.rep('x', 5e7) return #cmsgpack.pack({s, s, s, s, s})",
        "return unpack({}, -2147483648, 2147483647)",
        "return unpack({}, -2^31, 2^31 - 1)",
        "return unpack({}, 1, 2^32 + 9000)",
        "return cmsgpack.unpack(string.rep('\\145', 100000))",
        "return cjson.decode(string.rep('[', 100000))",
        "local t = {} t[1] = t return cjson.encode(t)",
        "local t = string.rep('x', 1e7) for i = 1, 300 do t = string.gsub(t, '.+', '%0%0') end",
        "return loadstring('return ' .. string.rep('(', 1e5))()",
        "error(setmetatable({}, {__tostring = function() error('x') end}))",
        "error(nil)",
        "error(coroutine.create(function() end))",
        "local t = {} t[0/0] = 1",
    ] {
        let reply = bench.run(text);
        assert!(reply.starts_with('-'), "{text}: {}", &reply[..reply.len().min(200)]);
    }
    // What Redis 7.0.15 answers.
    for (text, expected) in [
        ("return unpack({1,2}, 1, 30)", 1),
        ("return unpack({1}, 1, 7900)", 1),
        ("return select('#', unpack({}, 1, 7990))", 7990),
        ("local function f(...) return select('#', ...) end return f(unpack({}, 1, 7990))", 7990),
        ("local t = {} for i = 1, 7996 do t[i] = 'k' end return #{unpack(t)}", 7996),
        ("local t = {} for i = 1, 7990 do t[i] = 'a' end return #{pcall(unpack, t)}", 7991),
        ("return string.byte(string.rep('x', 60), 1, -1)", 120),
        ("local t = {} for i = 1, 60 do t[i] = i end return #{pcall(unpack, t)}", 61),
        ("local function f() return pcall(f) end return f()", 1),
        ("local function f() return xpcall(f, f) end return f()", 1),
        ("return cmsgpack.unpack(string.rep('x', 41))", 120),
    ] {
        assert_eq!(bench.run(text), format!(r":{expected}\r\n"), "{text}");
    }
    assert_eq!(bench.run("return 1"), r":1\r\n");
}

#[test]
fn numbers_keep_their_low_bits_where_c_would() {
    check("return select('#', unpack({1, 2, 3}, 2^32 + 2))", r":2\r\n");
    check("return select('#', unpack({}, 0/0, 0))", r":1\r\n");
    check(
        "math.randomseed(2^32 + 1) local a = math.random() math.randomseed(1) return a == math.random()",
        r":1\r\n",
    );
}

#[test]
fn replies_are_nested_as_deep_as_those_of_redis() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(nest).unwrap().join().unwrap();
}

fn nest() {
    let mut bench = Bench::new();
    // What Redis 7.0.15 answers: so many tables, and so often its error in place of one.
    for (table, header, tables, errors) in [
        ("{t}", r"*1\r\n", 7995, 1),
        ("{map={a=t}}", r"*2\r\n", 2665, 2),
        ("{map={[t]=1}}", r"*2\r\n", 1999, 2),
        ("{set={[t]=true}}", r"*1\r\n", 2665, 1),
        ("{1,t,2}", r"*3\r\n", 7995, 3),
    ] {
        let reply = bench.run(&format!("local t = 1 for i = 1, 20000 do t = {table} end return t"));
        assert_eq!(reply.matches(header).count(), tables, "{table}");
        assert_eq!(reply.matches("-ERR reached lua stack limit").count(), errors, "{table}");
    }
}

#[test]
fn a_reader_that_fails_loads_nothing() {
    check(
        "local f, e = load(function() error('x', 0) end) return {tostring(f), e}",
        r"*2\r\n$3\r\nnil\r\n$1\r\nx\r\n",
    );
    check(r"return load(function() return '\27Lua' end)", r"$-1\r\n");
    check(
        "local n = 0 return load(function() n = n + 1 return ({'return ', 4, 2})[n] end)()",
        r":42\r\n",
    );
}
