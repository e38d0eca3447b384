//! The typed caller of a hub.

use futures_util::{StreamExt, TryStreamExt, stream};
use signalr::{
    Caller, Hub, HubError, HubStream, Upload,
    testing::{TestClient, TestFarm},
};

#[signalr::client]
trait RoomClient {
    fn said(by: &str, text: &str);
}

#[signalr::hub(client = RoomClient, caller)]
trait Rooms {
    #[signalr(connected)]
    async fn joined(&self, caller: &Caller<RoomClient>) -> Result<(), HubError>;
    async fn send_text(
        &self,
        caller: &Caller<RoomClient>,
        room: String,
        text: String,
    ) -> Result<u64, HubError>;
    #[signalr(name = "enter")]
    async fn join_room(&self, caller: &Caller<RoomClient>, room: String) -> Result<(), HubError>;
    async fn version(&self) -> Result<u32, HubError>;
    fn count(&self, end: u32) -> HubStream<u32>;
    async fn sum(&self, numbers: Upload<u32>, start: u32) -> Result<u32, HubError>;
}

struct Plain;

#[signalr::hub]
impl Rooms for Plain {
    async fn joined(&self, caller: &Caller<RoomClient>) -> Result<(), HubError> {
        caller.groups().add("lobby").await?;
        Ok(())
    }

    async fn send_text(
        &self,
        caller: &Caller<RoomClient>,
        room: String,
        text: String,
    ) -> Result<u64, HubError> {
        if text.is_empty() {
            return Err(HubError::new("there is no text"));
        }
        let by = caller.user().unwrap_or("guest");
        caller.clients().group(room).said(by, &text).await?;
        Ok(text.len() as u64)
    }

    async fn join_room(&self, caller: &Caller<RoomClient>, room: String) -> Result<(), HubError> {
        caller.groups().add(&room).await?;
        Ok(())
    }

    async fn version(&self) -> Result<u32, HubError> {
        Ok(1)
    }

    fn count(&self, end: u32) -> HubStream<u32> {
        stream::iter((0..end).map(Ok)).boxed()
    }

    async fn sum(&self, numbers: Upload<u32>, start: u32) -> Result<u32, HubError> {
        numbers.try_fold(start, |sum, number| async move { Ok(sum + number) }).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_has_the_methods_of_the_trait_in_both_encodings() {
    let farm = TestFarm::start(2, |backplane| Hub::typed("Rooms", backplane, Plain));
    for client in [TestClient::json(), TestClient::messagepack()] {
        let mut ann = RoomsCaller::from(farm.server(0).connect(client.user("ann")).await);
        let mut bob = RoomsCaller::from(farm.server(1).connect(TestClient::json()).await);
        bob.join_room("red".to_owned()).await.unwrap();
        assert_eq!(ann.send_text("red".to_owned(), "hello".to_owned()).await, Ok(5));
        bob.connection.expect("said", ("ann", "hello")).await;
        assert_eq!(ann.version().await, Ok(1));
        assert_eq!(ann.count(3).await, Ok(vec![0, 1, 2]));
        assert_eq!(ann.sum([1, 2, 3], 10).await, Ok(16));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_returns_the_error_of_a_method() {
    let farm = TestFarm::start(1, |backplane| Hub::typed("Rooms", backplane, Plain));
    let mut ann = RoomsCaller::from(farm.server(0).connect(TestClient::json()).await);
    let error = ann.send_text("red".to_owned(), String::new()).await.unwrap_err();
    assert!(error.to_string().ends_with("there is no text"), "{error}");
}
