"""Fairway from a backend in Python, over plain NATS requests. ../README.md says how to run it and what to know."""

import asyncio
import json
import os
import random
import sys
import time
import uuid

import nats
import nats.errors
from nats.errors import NoRespondersError, TimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NoStreamResponseError

ATTEMPTS = 6
TIMEOUT_S = 5
KIM, LEE = 4, 5


class Refusal(Exception):
    """An answer with `success: false`. The codes are in docs/errors.md."""

    def __init__(self, answer):
        super().__init__(f"{answer['code']}: {answer['error']}")
        self.code = answer["code"]
        self.retry_after_s = answer.get("retryAfterMs", 0) / 1000  # for RATE_LIMITED
        self.correlation_id = answer.get("correlationId")  # for INTERNAL


async def request_once(nc, subject, payload):
    """Returns the answer: `data`, and for lists `nextCursor` beside it."""
    message = await nc.request(subject, json.dumps(payload).encode(), timeout=TIMEOUT_S)
    answer = json.loads(message.data)
    if not answer["success"]:
        raise Refusal(answer)
    return answer


async def retry(attempt):
    """Repeats what may succeed later, at most ATTEMPTS times. `attempt` sends the same each time."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return await attempt()
        except Refusal as refusal:
            if refusal.code not in ("RATE_LIMITED", "UNAVAILABLE") or number == ATTEMPTS:
                raise
            wait_s = refusal.retry_after_s
        except (NoRespondersError, NoStreamResponseError, TimeoutError):
            if number == ATTEMPTS:
                raise
            wait_s = 0
        await asyncio.sleep(wait_s + 0.1 * 2**number * random.uniform(1, 2))


async def request(nc, subject, payload):
    """For every request that may be repeated: all but the creation of a GROUP, which would make a second one."""
    return await retry(lambda: request_once(nc, subject, payload))


async def tour(nc):
    """As the user `backend`."""
    await request(nc, "chat.users.upsert", {"userId": KIM, "name": "김철수"})
    room = (await request(nc, "chat.rooms.create", {"type": "DIRECT", "memberIds": [KIM, LEE]}))["data"]
    print("room", room["id"], "of", room["memberCount"], "members")

    # Make the id once for each message, before the first attempt, and keep it with the message.
    message_id = str(uuid.uuid4())
    for _ in range(2):
        saved = await save_message(nc, message_id, room["id"], KIM, "안녕하세요, Python입니다")
        print("saved at", saved["seq"], "duplicate:", saved["duplicate"])

    cursor = None
    while True:
        page = await request(nc, "chat.rooms.list", {"userId": LEE, "limit": 2, "cursor": cursor})
        for listed in page["data"]:
            print("listed", listed["title"], listed["unreadCount"])
        cursor = page["nextCursor"]
        if cursor is None:
            break

    unread = (await request(nc, "chat.messages.unreadCount", {"userId": LEE, "roomId": room["id"]}))["data"]
    read = await request(nc, "chat.messages.markRead", {"userId": LEE, "roomId": room["id"], "messageId": message_id})
    print("unread", unread["unreadCount"], "then", read["data"]["unreadCount"])

    try:
        await request(nc, "chat.rooms.get", {"roomId": str(uuid.uuid4()), "userId": KIM})
    except Refusal as refusal:
        print("refused", refusal.code)


async def save_message(nc, message_id, room_id, sender_id, content):
    answer = await request(
        nc,
        "chat.messages.save",
        {"id": message_id, "roomId": room_id, "senderId": sender_id, "content": content, "type": "TEXT"},
    )
    return answer["data"]


async def bookings(nc):
    """As the user `booking`."""
    booking_id = random.randrange(1, 2**31)
    version = time.time_ns() // 1_000_000  # milliseconds: nanoseconds would exceed 2^53
    created = await request(
        nc,
        "chat.rooms.create",
        {"type": "BOOKING", "bookingId": booking_id, "memberIds": [KIM], "version": version, "name": "토요일 7시"},
    )
    print("room", created["data"]["id"], "created:", created["data"]["created"])

    for _ in range(2):
        synced = await request(
            nc,
            "chat.rooms.syncMembers",
            {
                "bookingId": booking_id,
                "members": [{"userId": KIM, "userName": "김철수"}, {"userId": LEE, "userName": None}],
                "version": version + 1,
            },
        )
        print("members", synced["data"]["memberCount"], "applied:", synced["data"]["applied"])

    await publish_event(
        nc,
        "booking.*.updated",
        {"bookingId": booking_id, "members": [{"userId": KIM}], "version": version + 2},
    )
    await publish_event(nc, "booking.*.cancelled", {"bookingId": booking_id})


async def publish_event(nc, subject, event):
    """Resolves once the stream has stored the event. The stream stores an event with the same Nats-Msg-Id once."""
    what = subject.rsplit(".", 1)[1]
    headers = {"Nats-Msg-Id": f"{event['bookingId']}:{what}:{event.get('version', '')}"}
    subject = subject.replace("*", str(event["bookingId"]))
    body = json.dumps(event).encode()
    stored = await retry(lambda: nc.jetstream().publish(subject, body, timeout=TIMEOUT_S, headers=headers))
    print("event", what, "is number", stored.seq, "of", stored.stream)


async def setup(nc):
    """As the user `operator`, once. A second time changes nothing."""
    js = nc.jetstream()
    await js.add_stream(name="BOOKING_EVENTS", subjects=["booking.*.*"])
    await js.add_consumer(
        "CHAT_MESSAGES",
        ConsumerConfig(
            durable_name="notifier",
            filter_subject="chat.room.*.message",  # GROUP and BOOKING rooms; without a filter, DIRECT rooms too
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.EXPLICIT,
        ),
    )
    print("the stream BOOKING_EVENTS and the consumer notifier of CHAT_MESSAGES are there")


async def entries(nc):
    """As the user `notifier`, until Ctrl-C."""
    consumer = await nc.jetstream().pull_subscribe_bind("notifier", stream="CHAT_MESSAGES")
    log = EntryLog()
    while True:
        try:
            messages = await consumer.fetch(batch=20, timeout=TIMEOUT_S)
        except TimeoutError:
            continue  # nothing new
        except nats.errors.Error as error:
            await report(error)
            await asyncio.sleep(1)
            continue
        for message in messages:
            try:
                log.apply(json.loads(message.data))
                await message.ack()
            except Exception as error:
                print("again in 5 s:", error)
                await message.nak(delay=5)


class EntryLog:
    """What has been applied. Keep it in your database, in the transaction that does the work."""

    def __init__(self):
        self.positions = {}  # message id -> (epoch, changedSeq)
        self.epochs = {}  # room id -> newest epoch

    def apply(self, entry):
        """Entries come at least once, and in any order: whether one is news is a question of its message alone."""
        room_id, epoch = entry["roomId"], entry["epoch"]
        known = self.epochs.get(room_id, epoch)
        if epoch < known:
            return print("void", entry["id"])
        if epoch > known:
            print("read the room again, back to the last common entry:", room_id)
        position = (epoch, entry["changedSeq"])
        if position <= self.positions.get(entry["id"], ("", 0)):
            return print("known", entry["id"])
        # A reference has no content: chat.messages.list has it.
        print(entry["kind"], entry["type"], entry["seq"], entry.get("senderName"), entry.get("content"))
        self.epochs[room_id] = epoch
        self.positions[entry["id"]] = position


async def report(error):
    print("NATS:", error, file=sys.stderr)  # a permission that is missing, for example


async def main(command):
    nc = await nats.connect(
        os.environ["NATS_URL"],
        user=os.environ["NATS_USER"],
        password=os.environ["NATS_PASSWORD"],
        inbox_prefix=os.environ.get("NATS_INBOX_PREFIX", "_INBOX").encode(),
        max_reconnect_attempts=-1,
        error_cb=report,
    )
    try:
        await {"setup": setup, "tour": tour, "bookings": bookings, "entries": entries}[command](nc)
    finally:
        await nc.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except KeyboardInterrupt:
        pass
