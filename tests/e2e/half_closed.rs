//! Clients that shut down their write half.

use super::server;

#[tokio::test]
async fn a_client_that_shuts_its_write_half_down_gets_the_replies_to_its_requests() {
    let server = server(&[]).await;
    // The end may arrive together with the requests or after them, so the test repeats.
    for _ in 0..100 {
        let mut client = server.client().await;
        client.send_raw(b"PING one\r\nPING two\r\n").await;
        client.close_writing().await;
        assert_eq!(client.read_to_close().await, "$3\r\none\r\n$3\r\ntwo\r\n");
    }
}

/// The end of the input arrives while the script is late.
#[tokio::test]
async fn a_client_that_shuts_its_write_half_down_gets_the_result_of_its_late_script() {
    let server = server(&["--busy-reply-threshold", "1"]).await;
    let script = "while redis.call('TIME')[1] < ARGV[1] do end return 'done'";
    for before in ["", "MULTI\r\n"] {
        let mut client = server.client().await;
        let now = client.command(&["TIME"]).await;
        let until: u64 = now.items()[0].text().parse().expect("seconds");
        client.send_raw(before.as_bytes()).await;
        client.send(&["EVAL", script, "0", &(until + 2).to_string()]).await;
        let mut expected = "$4\r\ndone\r\n".to_owned();
        if !before.is_empty() {
            client.send(&["EXEC"]).await;
            expected = format!("+OK\r\n+QUEUED\r\n*1\r\n{expected}");
        }
        client.close_writing().await;
        assert_eq!(client.read_to_close().await, expected);
    }
}
