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
