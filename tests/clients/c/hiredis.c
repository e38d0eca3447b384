/* The blocking API of hiredis: one connection subscribes, another publishes.
 *
 * usage: hiredis PORT PASSWORD
 */

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 200 };

static const struct timeval DEADLINE = {.tv_sec = 30};

static void fail(const char *step, const char *reason) {
    fprintf(stderr, "%s: %s\n", step, reason);
    exit(EXIT_FAILURE);
}

static void check(int holds, const char *step, const redisContext *context) {
    if (!holds) fail(step, context->err ? context->errstr : "unexpected reply");
}

static redisContext *stranger(int port) {
    redisContext *context = redisConnectWithTimeout("127.0.0.1", port, DEADLINE);
    if (context == NULL || context->err) fail("connect", context ? context->errstr : "no memory");
    check(redisSetTimeout(context, DEADLINE) == REDIS_OK, "timeout", context);
    return context;
}

static int is_text(const redisReply *reply, const char *text) {
    return reply != NULL && reply->str != NULL && strcmp(reply->str, text) == 0;
}

static int is_integer(const redisReply *reply, long long integer) {
    return reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == integer;
}

static int is_bytes(const redisReply *reply, const char *bytes, size_t count) {
    return reply->type == REDIS_REPLY_STRING && (size_t)reply->len == count &&
           memcmp(reply->str, bytes, count) == 0;
}

static redisContext *client(int port, const char *password) {
    redisContext *context = stranger(port);
    redisReply *reply = redisCommand(context, "AUTH %s", password);
    check(is_text(reply, "OK"), "password", context);
    freeReplyObject(reply);
    return context;
}

/* Reads the next reply or message. */
static redisReply *next(redisContext *context) {
    void *reply = NULL;
    check(redisGetReply(context, &reply) == REDIS_OK && reply != NULL, "next reply", context);
    return reply;
}

static void connects_with_the_password_only(int port) {
    redisContext *context = stranger(port);
    redisReply *reply = redisCommand(context, "PING");
    check(reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "NOAUTH") == reply->str, "NOAUTH",
          context);
    freeReplyObject(reply);
    reply = redisCommand(context, "AUTH wrong");
    check(strstr(reply->str, "WRONGPASS") == reply->str, "WRONGPASS", context);
    freeReplyObject(reply);
    redisFree(context);
}

static void confirmed(redisContext *context, const char *kind, const char *channel, int count) {
    redisReply *reply = next(context);
    check(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
              is_text(reply->element[0], kind) && is_text(reply->element[1], channel) &&
              is_integer(reply->element[2], count),
          kind, context);
    freeReplyObject(reply);
}

static void receives_once_and_in_order(redisContext *publisher, redisContext *subscriber) {
    char binary[256 + 2];
    for (int byte = 0; byte < 256; byte++) binary[byte] = (char)byte;
    memcpy(binary + 256, "\r\n", 2);

    freeReplyObject(redisCommand(subscriber, "SUBSCRIBE news"));
    redisAppendCommand(subscriber, "PSUBSCRIBE n*");
    confirmed(subscriber, "psubscribe", "n*", 2);
    for (int number = 0; number < MESSAGES; number++) {
        redisAppendCommand(publisher, "PUBLISH news message-%d", number);
    }
    redisAppendCommand(publisher, "PUBLISH news %b", binary, sizeof binary);
    for (int number = 0; number <= MESSAGES; number++) {
        redisReply *reply = next(publisher);
        check(is_integer(reply, 2), "receivers", publisher);
        freeReplyObject(reply);
    }
    for (int number = 0; number <= MESSAGES; number++) {
        char text[32];
        int length = snprintf(text, sizeof text, "message-%d", number);
        const char *expected = number < MESSAGES ? text : binary;
        size_t count = number < MESSAGES ? (size_t)length : sizeof binary;
        redisReply *message = next(subscriber), *pmessage = next(subscriber);
        check(message->elements == 3 && is_text(message->element[0], "message") &&
                  is_bytes(message->element[2], expected, count),
              "message", subscriber);
        check(pmessage->elements == 4 && is_text(pmessage->element[0], "pmessage") &&
                  is_text(pmessage->element[1], "n*") && is_text(pmessage->element[2], "news") &&
                  is_bytes(pmessage->element[3], expected, count),
              "pmessage", subscriber);
        freeReplyObject(message);
        freeReplyObject(pmessage);
    }
    redisAppendCommand(subscriber, "UNSUBSCRIBE news");
    confirmed(subscriber, "unsubscribe", "news", 1);
    redisAppendCommand(subscriber, "PUNSUBSCRIBE");
    confirmed(subscriber, "punsubscribe", "n*", 0);
    redisReply *reply = redisCommand(subscriber, "PING");
    check(is_text(reply, "PONG"), "PONG after the last subscription", subscriber);
    freeReplyObject(reply);
}

static void receives_from_shard_channels(redisContext *publisher, redisContext *subscriber) {
    redisAppendCommand(subscriber, "SSUBSCRIBE shard-news");
    confirmed(subscriber, "ssubscribe", "shard-news", 1);
    redisReply *reply = redisCommand(publisher, "SPUBLISH shard-news hello");
    check(is_integer(reply, 1), "SPUBLISH", publisher);
    freeReplyObject(reply);
    reply = next(subscriber);
    check(is_text(reply->element[0], "smessage") && is_text(reply->element[2], "hello"), "smessage",
          subscriber);
    freeReplyObject(reply);
    redisAppendCommand(subscriber, "SUNSUBSCRIBE");
    confirmed(subscriber, "sunsubscribe", "shard-news", 0);
}

static void publishes_in_a_transaction(redisContext *publisher, redisContext *subscriber) {
    redisAppendCommand(subscriber, "SUBSCRIBE news");
    confirmed(subscriber, "subscribe", "news", 1);
    const char *commands[] = {"MULTI", "PUBLISH news one", "PUBLISH news two", "EXEC"};
    for (int index = 0; index < 4; index++) redisAppendCommand(publisher, commands[index]);
    for (int index = 0; index < 3; index++) {
        redisReply *reply = next(publisher);
        check(is_text(reply, index == 0 ? "OK" : "QUEUED"), commands[index], publisher);
        freeReplyObject(reply);
    }
    redisReply *reply = next(publisher);
    check(reply->elements == 2 && is_integer(reply->element[0], 1) &&
              is_integer(reply->element[1], 1),
          "EXEC", publisher);
    freeReplyObject(reply);
    for (int index = 0; index < 2; index++) {
        reply = next(subscriber);
        check(is_text(reply->element[2], index == 0 ? "one" : "two"), "order", subscriber);
        freeReplyObject(reply);
    }
}

static void connects_again_after_client_kill(redisContext *publisher, redisContext *subscriber) {
    redisReply *reply = redisCommand(publisher, "CLIENT KILL TYPE pubsub");
    check(is_integer(reply, 1), "CLIENT KILL", publisher);
    freeReplyObject(reply);
    void *nothing = NULL;
    check(redisGetReply(subscriber, &nothing) == REDIS_ERR && subscriber->err == REDIS_ERR_EOF,
          "end of the connection", subscriber);
    check(redisReconnect(subscriber) == REDIS_OK, "reconnect", subscriber);
    reply = redisCommand(subscriber, "PING");
    check(reply->type == REDIS_REPLY_ERROR, "a new connection without a password", subscriber);
    freeReplyObject(reply);
}

int main(int count, char **arguments) {
    if (count != 3) fail("usage", "hiredis PORT PASSWORD");
    int port = atoi(arguments[1]);
    connects_with_the_password_only(port);
    redisContext *publisher = client(port, arguments[2]);
    redisContext *subscriber = client(port, arguments[2]);
    receives_once_and_in_order(publisher, subscriber);
    receives_from_shard_channels(publisher, subscriber);
    publishes_in_a_transaction(publisher, subscriber);
    connects_again_after_client_kill(publisher, subscriber);
    redisFree(publisher);
    redisFree(subscriber);
    puts("ok");
    return EXIT_SUCCESS;
}
