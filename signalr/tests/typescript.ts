// Written by the Rust crate `signalr`. Changes are lost.

import type { HubConnection, IStreamResult, Subject } from "@microsoft/signalr";

export type Author = { "kind": "guest" } | { "kind": "user", name: string, };

export type Message = { by: Author, text: string, sent_ms: number, answers: number | null, };

/** The methods of the hub. */
export interface ChatHub {
  joinRoom(room: string): Promise<void>;
  lastMessages(room: string, max: number): Promise<Array<Message>>;
  counter(end: number): IStreamResult<number>;
  sum(numbers: Subject<number>): Promise<number>;
  ping(): Promise<void>;
}

/** Calls the methods of the hub over a connection. */
export function chatHub(connection: HubConnection): ChatHub {
  return {
    joinRoom: (room) => connection.invoke("JoinRoom", room),
    lastMessages: (room, max) => connection.invoke("LastMessages", room, max),
    counter: (end) => connection.stream("Counter", end),
    sum: (numbers) => connection.invoke("Sum", numbers),
    ping: () => connection.invoke("Ping"),
  };
}

/** The methods of a client. */
export interface ChatClient {
  roomMessage(message: Message): void;
  typing(userNames: Array<string>): void;
  confirm(question: string): boolean | Promise<boolean>;
}

/** Registers the methods of a client at a connection. */
export function registerChatClient(connection: HubConnection, client: ChatClient): void {
  connection.on("roomMessage", (message: Message) => client.roomMessage(message));
  connection.on("typing", (userNames: Array<string>) => client.typing(userNames));
  connection.on("confirm", (question: string) => client.confirm(question));
}
