//! Every function of the library with large arguments: the process stays near the limit of scripts.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use lua_sandbox::{Commands, Level, Parameters, STACK_BYTES, Script, ScriptReply, Vm};
use resp::request::Request;
use resp::{Protocol, reply};

/// The limit of scripts, and the growth beyond it that is accepted.
const LIMIT_MB: usize = 256;
const SLACK_MB: usize = 64;

/// A server that returns the last argument of each command.
struct Last;

impl Commands for Last {
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        let mut out = Vec::new();
        reply::bulk(&mut out, request.argument(request.len() - 1));
        Ok(out)
    }

    fn may_run(&self, _: Request<'_>) -> Option<bool> {
        Some(true)
    }

    fn set_protocol(&mut self, _: Protocol) {}

    fn protocol(&self) -> Protocol {
        Protocol::Resp2
    }

    fn log(&self, _: Level, _: &[u8]) {}

    fn may_go_on(&self) -> bool {
        true
    }
}

fn run(vm: &mut Vm, code: &str) -> ScriptReply {
    let script = Script { sha: code.as_bytes(), code: code.as_bytes() };
    vm.run(script, &Parameters::default(), Protocol::Resp2)
}

fn new_vm() -> Vm {
    Vm::new(Rc::new(RefCell::new(Last)), "7.2.4").unwrap()
}

/// Returns a line of `/proc/self/status` in megabytes.
fn megabytes(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// Runs a script, and returns its reply with the growth of the peak.
fn growth(vm: &mut Vm, code: &str) -> (ScriptReply, usize) {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = megabytes("VmRSS:");
    let reply = run(vm, code);
    (reply, megabytes("VmHWM:").saturating_sub(before))
}

/// Returns the functions that scripts can call, such as `string.rep`.
fn functions() -> Vec<String> {
    let code = "
        local names = {}
        for name, value in pairs(_G) do
            if type(value) == 'function' then names[#names + 1] = name end
            if type(value) == 'table' and name ~= '_G' then
                for inner, called in pairs(value) do
                    if type(called) == 'function' then names[#names + 1] = name .. '.' .. inner end
                end
            end
        end
        table.sort(names)
        return table.concat(names, ' ')";
    let reply = String::from_utf8(run(&mut new_vm(), code).reply).unwrap();
    reply.lines().nth(1).unwrap().split(' ').map(str::to_owned).collect()
}

/// Arguments of 10 MB, sixty times, in all the ways that a script can pass them.
const CALLS: [&str; 3] = [
    // Sixty arguments.
    "return f(unpack(all))",
    // One argument that holds sixty.
    "return f(all)",
    // Sixty results, kept in a table that has its size before.
    "local kept = {} for i = 1, 60 do kept[i] = 0 end
     for i = 1, 60 do kept[i] = f(s, 60) end
     return kept",
];

#[test]
fn the_memory_of_every_function_counts() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(check).unwrap().join().unwrap();
}

fn check() {
    let functions = functions();
    assert!(functions.len() > 60, "{functions:?}");
    let each = functions.iter().flat_map(|name| {
        CALLS.iter().map(move |call| {
            format!(
                "local f, s, all = {name}, string.rep('x', 1e7), {{}}
                 for i = 1, 60 do all[i] = s end
                 {call}"
            )
        })
    });
    let own = [
        "local s = string.rep('x', 1e7) return #string.gsub(s, '^.*$', string.rep('%0', 60))",
        "local s = string.rep('x', 1e7) local n = 0
         return #string.gsub(string.rep('a', 60), 'a', function() return s end)",
        "local s = string.rep('x', 1e7) local function f(n)
             return string.gsub('ab', '.', function(c) return c == 'a' and s or f(n + 1) end)
         end return f(1)",
        "local s, t = string.rep('x', 1e7), {} for i = 1, 60 do t[i] = 'c0' end
         return #struct.pack(table.concat(t), s, unpack(setmetatable({}, nil), 1, 59))",
        "local s, n = string.rep('x', 1e7), 0
         return load(function() n = n + 1 if n <= 60 then return s end end)",
        "local s = string.rep('x', 1e7) local t = {} for i = 1, 60 do t[i] = s end
         return cjson.decode(cjson.encode(t))",
        "local s = string.rep('x', 1e7) local t = {} for i = 1, 60 do t[i] = s end return t",
        "return {err = string.rep('x', 1e8)}",
        "error(string.rep('x', 1e8))",
    ];
    let mut vm = new_vm();
    for code in each.chain(own.map(str::to_owned)) {
        let (reply, growth) = growth(&mut vm, &code);
        let start = reply.reply[..reply.reply.len().min(100)].escape_ascii().to_string();
        assert!(growth <= LIMIT_MB + SLACK_MB, "{growth} MB for {code}: {start}");
    }
    // Results of commands, in a table that has its size before.
    let code = "
        local s, kept = string.rep('x', 1e7), {}
        for i = 1, 60 do kept[i] = 0 end
        for i = 1, 60 do kept[i] = redis.call('ECHO', i .. s) end
        return #kept";
    let reply = run(&mut vm, code).reply;
    assert!(reply.starts_with(b"-ERR not enough memory"), "{}", reply.escape_ascii());
}
