import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.nats.client.Connection;
import io.nats.client.ErrorListener;
import io.nats.client.IterableConsumer;
import io.nats.client.JetStreamManagement;
import io.nats.client.Message;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.PublishOptions;
import io.nats.client.api.AckPolicy;
import io.nats.client.api.ConsumerConfiguration;
import io.nats.client.api.DeliverPolicy;
import io.nats.client.api.PublishAck;
import io.nats.client.api.StreamConfiguration;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Fairway from a backend in Java, over plain NATS requests. ../README.md says how to run it and what to know. */
public final class Fairway {
  private static final int ATTEMPTS = 6;
  private static final Duration TIMEOUT = Duration.ofSeconds(5);
  private static final int KIM = 4;
  private static final int LEE = 5;
  private static final ObjectMapper JSON = new ObjectMapper();

  /** An answer with {@code success: false}. The codes are in docs/errors.md. */
  static final class Refusal extends RuntimeException {
    final String code;
    /** For RATE_LIMITED. */
    final long retryAfterMs;
    /** For INTERNAL. */
    final String correlationId;

    Refusal(JsonNode answer) {
      super(answer.path("code").asText() + ": " + answer.path("error").asText());
      code = answer.path("code").asText();
      retryAfterMs = answer.path("retryAfterMs").asLong();
      correlationId = answer.path("correlationId").asText(null);
    }

    boolean isWorthRetry() {
      return code.equals("RATE_LIMITED") || code.equals("UNAVAILABLE");
    }
  }

  /** No answer in time, or nobody who would answer. */
  static final class NoAnswer extends IOException {
    NoAnswer(String subject) {
      super("No answer on " + subject);
    }
  }

  /** Returns the answer: {@code data}, and for lists {@code nextCursor} beside it. */
  static JsonNode requestOnce(Connection nats, String subject, ObjectNode payload) throws Exception {
    // Jackson writes UTF-8; String.getBytes() without a charset may not, before Java 18.
    Message message = nats.request(subject, JSON.writeValueAsBytes(payload), TIMEOUT);
    if (message == null) throw new NoAnswer(subject);
    JsonNode answer = JSON.readTree(message.getData());
    if (!answer.path("success").asBoolean()) throw new Refusal(answer);
    return answer;
  }

  interface Attempt<T> {
    T run() throws Exception;
  }

  /** Repeats what may succeed later, at most ATTEMPTS times. The attempt sends the same each time. */
  static <T> T retry(Attempt<T> attempt) throws Exception {
    for (int number = 1; ; number++) {
      long waitMs = 0;
      try {
        return attempt.run();
      } catch (Refusal refusal) {
        if (!refusal.isWorthRetry() || number == ATTEMPTS) throw refusal;
        waitMs = refusal.retryAfterMs;
      } catch (IOException noAnswer) {
        if (number == ATTEMPTS) throw noAnswer;
      }
      long pauseMs = 100L << number;
      Thread.sleep(waitMs + pauseMs + ThreadLocalRandom.current().nextLong(pauseMs));
    }
  }

  /** For every request that may be repeated: all but the creation of a GROUP, which would make a second one. */
  static JsonNode request(Connection nats, String subject, ObjectNode payload) throws Exception {
    return retry(() -> requestOnce(nats, subject, payload));
  }

  private static ObjectNode payload() {
    return JSON.createObjectNode();
  }

  private static ArrayNode list(int... numbers) {
    ArrayNode list = JSON.createArrayNode();
    for (int number : numbers) list.add(number);
    return list;
  }

  /** As the user {@code backend}. */
  static void tour(Connection nats) throws Exception {
    request(nats, "chat.users.upsert", payload().put("userId", KIM).put("name", "김철수"));
    JsonNode room =
        request(nats, "chat.rooms.create", payload().put("type", "DIRECT").set("memberIds", list(KIM, LEE)))
            .path("data");
    String roomId = room.path("id").asText();
    System.out.println("room " + roomId + " of " + room.path("memberCount") + " members");

    // Make the id once for each message, before the first attempt, and keep it with the message.
    String messageId = UUID.randomUUID().toString();
    for (int i = 0; i < 2; i++) {
      JsonNode saved = saveMessage(nats, messageId, roomId, KIM, "안녕하세요, Java입니다");
      Instant createdAt = Instant.parse(saved.path("createdAt").asText());
      System.out.println("saved at " + saved.path("seq") + " on " + createdAt + " duplicate: " + saved.path("duplicate"));
    }

    String cursor = null;
    do {
      JsonNode page =
          request(nats, "chat.rooms.list", payload().put("userId", LEE).put("limit", 2).put("cursor", cursor));
      for (JsonNode listed : page.path("data")) {
        System.out.println("listed " + listed.path("title").asText() + " " + listed.path("unreadCount"));
      }
      // asText(null): asText() alone would make the word "null" of it.
      cursor = page.path("nextCursor").asText(null);
    } while (cursor != null);

    JsonNode unread =
        request(nats, "chat.messages.unreadCount", payload().put("userId", LEE).put("roomId", roomId)).path("data");
    JsonNode read =
        request(
                nats,
                "chat.messages.markRead",
                payload().put("userId", LEE).put("roomId", roomId).put("messageId", messageId))
            .path("data");
    System.out.println("unread " + unread.path("unreadCount") + " then " + read.path("unreadCount"));

    try {
      request(nats, "chat.rooms.get", payload().put("roomId", UUID.randomUUID().toString()).put("userId", KIM));
    } catch (Refusal refusal) {
      System.out.println("refused " + refusal.code);
    }
  }

  static JsonNode saveMessage(Connection nats, String id, String roomId, int senderId, String content)
      throws Exception {
    return request(
            nats,
            "chat.messages.save",
            payload()
                .put("id", id)
                .put("roomId", roomId)
                .put("senderId", senderId)
                .put("content", content)
                .put("type", "TEXT"))
        .path("data");
  }

  /** As the user {@code booking}. */
  static void bookings(Connection nats) throws Exception {
    int bookingId = ThreadLocalRandom.current().nextInt(1, Integer.MAX_VALUE);
    long version = System.currentTimeMillis(); // at most 2^53, a number that is exact in JSON everywhere
    JsonNode created =
        request(
                nats,
                "chat.rooms.create",
                payload()
                    .put("type", "BOOKING")
                    .put("bookingId", bookingId)
                    .put("version", version)
                    .put("name", "토요일 7시")
                    .set("memberIds", list(KIM)))
            .path("data");
    System.out.println("room " + created.path("id").asText() + " created: " + created.path("created"));

    for (int i = 0; i < 2; i++) {
      JsonNode synced =
          request(
                  nats,
                  "chat.rooms.syncMembers",
                  payload()
                      .put("bookingId", bookingId)
                      .put("version", version + 1)
                      .set(
                          "members",
                          JSON.createArrayNode()
                              .add(payload().put("userId", KIM).put("userName", "김철수"))
                              .add(payload().put("userId", LEE).putNull("userName"))))
              .path("data");
      System.out.println("members " + synced.path("memberCount") + " applied: " + synced.path("applied"));
    }

    publishEvent(
        nats,
        "booking.*.updated",
        payload()
            .put("bookingId", bookingId)
            .put("version", version + 2)
            .set("members", JSON.createArrayNode().add(payload().put("userId", KIM))));
    publishEvent(nats, "booking.*.cancelled", payload().put("bookingId", bookingId));
  }

  /** Returns once the stream has stored the event. The stream stores an event with the same Nats-Msg-Id once. */
  static void publishEvent(Connection nats, String pattern, ObjectNode event) throws Exception {
    String bookingId = event.path("bookingId").asText();
    String what = pattern.substring(pattern.lastIndexOf('.') + 1);
    String id = bookingId + ":" + what + ":" + event.path("version").asText();
    byte[] body = JSON.writeValueAsBytes(event);
    PublishOptions options = PublishOptions.builder().messageId(id).streamTimeout(TIMEOUT).build();
    PublishAck stored = retry(() -> nats.jetStream().publish(pattern.replace("*", bookingId), body, options));
    System.out.println("event " + what + " is number " + stored.getSeqno() + " of " + stored.getStream());
  }

  /** As the user {@code operator}, once. A second time changes nothing. */
  static void setup(Connection nats) throws Exception {
    JetStreamManagement management = nats.jetStreamManagement();
    management.addStream(StreamConfiguration.builder().name("BOOKING_EVENTS").subjects("booking.*.*").build());
    management.addOrUpdateConsumer(
        "CHAT_MESSAGES",
        ConsumerConfiguration.builder()
            .durable("notifier")
            .filterSubject("chat.room.*.message") // GROUP and BOOKING rooms; without a filter, DIRECT rooms too
            .deliverPolicy(DeliverPolicy.New)
            .ackPolicy(AckPolicy.Explicit)
            .build());
    System.out.println("the stream BOOKING_EVENTS and the consumer notifier of CHAT_MESSAGES are there");
  }

  /** As the user {@code notifier}, until Ctrl-C. */
  static void entries(Connection nats) throws Exception {
    EntryLog log = new EntryLog();
    try (IterableConsumer messages = nats.getConsumerContext("CHAT_MESSAGES", "notifier").iterate()) {
      while (true) {
        Message message = messages.nextMessage(TIMEOUT);
        if (message == null) continue;
        try {
          log.apply(JSON.readTree(message.getData()));
          message.ack();
        } catch (IOException | RuntimeException error) {
          System.err.println("again in 5 s: " + error);
          message.nakWithDelay(Duration.ofSeconds(5));
        }
      }
    }
  }

  /** What has been applied. Keep it in your database, in the transaction that does the work. */
  static final class EntryLog {
    private record Position(String epoch, int changedSeq) {}

    private final Map<String, Position> positions = new HashMap<>();
    private final Map<String, String> epochs = new HashMap<>();

    /** Entries come at least once, and in any order: whether one is news is a question of its message alone. */
    void apply(JsonNode entry) {
      String id = entry.path("id").asText();
      String roomId = entry.path("roomId").asText();
      String epoch = entry.path("epoch").asText();
      int order = epoch.compareTo(epochs.getOrDefault(roomId, epoch));
      if (order < 0) {
        System.out.println("void " + id);
        return;
      }
      if (order > 0) System.out.println("read the room again, back to the last common entry: " + roomId);
      Position position = new Position(epoch, entry.path("changedSeq").asInt());
      Position last = positions.get(id);
      if (last != null && last.epoch.equals(epoch) && last.changedSeq >= position.changedSeq) {
        System.out.println("known " + id);
        return;
      }
      // Null if the message is deleted, absent in a reference: chat.messages.list has it then.
      String content = entry.path("content").asText("-");
      System.out.println(entry.path("kind").asText() + " " + entry.path("type").asText() + " " + entry.path("seq") + " " + content);
      epochs.put(roomId, epoch);
      positions.put(id, position);
    }
  }

  public static void main(String[] args) throws Exception {
    Map<String, String> env = System.getenv();
    Options options =
        new Options.Builder()
            .server(env.get("NATS_URL"))
            .userInfo(env.get("NATS_USER"), env.get("NATS_PASSWORD"))
            .inboxPrefix(env.getOrDefault("NATS_INBOX_PREFIX", "_INBOX"))
            .maxReconnects(-1)
            .errorListener(
                new ErrorListener() {
                  @Override
                  public void errorOccurred(Connection connection, String error) {
                    System.err.println("NATS: " + error); // a permission that is missing, for example
                  }
                })
            .build();
    try (Connection nats = Nats.connect(options)) {
      switch (args[0]) {
        case "setup" -> setup(nats);
        case "tour" -> tour(nats);
        case "bookings" -> bookings(nats);
        case "entries" -> entries(nats);
        default -> throw new IllegalArgumentException("setup, tour, bookings or entries");
      }
    }
  }
}
