//! Commands on whole databases: `FLUSHALL`, `FLUSHDB`, `SWAPDB`.

use super::Answer;
use super::errors::SYNTAX_ERROR;
use super::keys::small_integer;
use super::server;
use crate::config::Config;
use crate::protocol::reply::Reply;
use crate::protocol::request::Request;
use crate::pubsub::order::OrderGuard;

/// `FLUSHALL [ASYNC | SYNC]` and `FLUSHDB [ASYNC | SYNC]`
pub(super) fn flush(
    database: Option<u16>,
    request: Request<'_>,
    order: &mut OrderGuard<'_>,
) -> Answer {
    if request.len() > 2 || request.len() == 2 && !server::is_flush_mode(request.argument(1)) {
        return Err(SYNTAX_ERROR.to_vec());
    }
    let now = order.now();
    let flushed = order.keyspace().flush(database, now);
    let is_async = request.len() == 2 && request.argument(1).eq_ignore_ascii_case(b"async");
    if is_async {
        // If no thread can be started, this one frees the keys, as for SYNC.
        let freeing = std::thread::Builder::new().name("free".to_owned());
        let _ = freeing.spawn(move || drop(flushed));
    }
    Ok(Reply::ok())
}

/// `SWAPDB index1 index2`
pub(super) fn swap(request: Request<'_>, config: &Config, order: &mut OrderGuard<'_>) -> Answer {
    let first = small_integer(request.argument(1)).map_err(|_| b"ERR invalid first DB index")?;
    let second = small_integer(request.argument(2)).map_err(|_| b"ERR invalid second DB index")?;
    let number = |index: i32| u16::try_from(index).ok().filter(|&index| index < config.databases);
    let (Some(first), Some(second)) = (number(first), number(second)) else {
        return Err(b"ERR DB index is out of range".to_vec());
    };
    let now = order.now();
    order.keyspace().swap(first, second, now);
    Ok(Reply::ok())
}
