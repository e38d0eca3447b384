//! Runs a script with `ECHO` as the only command: `cargo run -p lua-sandbox --example run`

use std::cell::RefCell;
use std::rc::Rc;

use lua_sandbox::{Commands, Level, Parameters, Script, Vm};
use resp::request::Request;
use resp::{Protocol, reply};

/// A server with one command.
#[derive(Default)]
struct Echo {
    protocol: Protocol,
}

impl Commands for Echo {
    fn call(&mut self, request: Request<'_>) -> Result<Vec<u8>, Vec<u8>> {
        if !self.may_run(request).unwrap_or(false) {
            return Err(b"ERR Unknown Redis command called from script".to_vec());
        }
        let mut out = Vec::new();
        reply::bulk(&mut out, request.argument(1));
        Ok(out)
    }

    fn may_run(&self, request: Request<'_>) -> Option<bool> {
        (request.argument(0).eq_ignore_ascii_case(b"echo") && request.len() == 2).then_some(true)
    }

    fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn log(&self, level: Level, text: &[u8]) {
        eprintln!("{level:?}: {}", text.escape_ascii());
    }

    fn may_go_on(&self) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(Rc::new(RefCell::new(Echo::default())), "7.2.4")?;
    let script = Script {
        // The SHA1 of the text, which the caller's cache has already.
        sha: b"4ca238f611c9d0ae4e9a75a5dbac22aedc1e44c4",
        code: b"return redis.call('ECHO', KEYS[1] .. ' and ' .. ARGV[1])",
    };
    let parameters = Parameters { keys: vec![b"key".to_vec()], arguments: vec![b"value".to_vec()] };
    let reply = vm.run(script, &parameters, Protocol::Resp2).reply;
    assert_eq!(reply, b"$13\r\nkey and value\r\n");
    println!("{}", reply.escape_ascii());
    Ok(())
}
