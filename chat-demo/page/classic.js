// The tutorial's first page: a client of SignalR 2 with the proxy that `/signalr/hubs` generates.
"use strict";

$(function () {
  const chat = $.connection.chatHub;
  const connection = $.connection.hub;
  const names = ["connecting", "connected", "reconnecting", "", "disconnected"];

  // Before the start, or the client does not subscribe to the hub.
  chat.client.broadcastMessage = function (name, message) {
    const author = $("<div class='by'>").append($("<span class='name'>").text(name));
    const text = $("<p class='text'>").text(message);
    const isMine = name === $("#name").val().trim();
    $("#messages").append($("<li>").toggleClass("mine", isMine).append(author, text));
    $("#log").scrollTop($("#log")[0].scrollHeight);
  };

  connection.stateChanged(function (change) {
    const name = names[change.newState];
    $("#state").text(name).attr("data-state", name);
  });
  connection.disconnected(function () {
    // SignalR 2 gives up after a while. The page begins again.
    setTimeout(start, 2000);
  });

  $("#chat").on("submit", function (event) {
    event.preventDefault();
    const name = $("#name").val().trim();
    const message = $("#message").val().trim();
    if (name === "" || message === "") {
      showProblem("Write a name and a message.");
      return;
    }
    chat.server
      .send(name, message)
      .done(function () {
        $("#message").val("").trigger("focus");
        showProblem("");
      })
      .fail(function (error) {
        showProblem("The message was not sent: " + error.message);
      });
  });

  // An empty text hides the problem.
  function showProblem(text) {
    $("#problem").text(text).prop("hidden", text === "");
  }

  function start() {
    connection
      .start()
      .done(function () {
        showProblem("");
      })
      .fail(function (error) {
        showProblem("No connection: " + error.message);
      });
  }
  $("#server").text(location.host);
  start();
});
