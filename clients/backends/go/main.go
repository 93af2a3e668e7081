// Fairway from a backend in Go, over plain NATS requests. ../README.md says how to run it and what to know.
package main

import (
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	attempts   = 6
	timeout    = 5 * time.Second
	kim        = 4
	lee        = 5
	roomFilter = "chat.room.*.message" // GROUP and BOOKING rooms; without a filter, DIRECT rooms too
)

// Refusal is an answer with `success: false`. The codes are in docs/errors.md.
type Refusal struct {
	Code, Message string
	RetryAfter    time.Duration // for RATE_LIMITED
	CorrelationID string        // for INTERNAL
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// Answer has the data, and for lists the cursor beside it. A field that may be null is a pointer or a slice.
type Answer[T any] struct {
	Success       bool    `json:"success"`
	Data          T       `json:"data"`
	NextCursor    *string `json:"nextCursor"`
	Message       string  `json:"error"`
	Code          string  `json:"code"`
	RetryAfterMs  int64   `json:"retryAfterMs"`
	CorrelationID string  `json:"correlationId"`
}

type payload map[string]any

func requestOnce[T any](nc *nats.Conn, subject string, body payload) (Answer[T], error) {
	var answer Answer[T]
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	message, err := nc.Request(subject, encoded, timeout)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(message.Data, &answer); err != nil {
		return answer, err
	}
	if !answer.Success {
		wait := time.Duration(answer.RetryAfterMs) * time.Millisecond
		return answer, &Refusal{answer.Code, answer.Message, wait, answer.CorrelationID}
	}
	return answer, nil
}

// retry repeats what may succeed later, at most `attempts` times. `attempt` sends the same each time.
func retry[T any](attempt func() (T, error)) (T, error) {
	for number := 1; ; number++ {
		result, err := attempt()
		wait, isWorthIt := waitAfter(err)
		if err == nil || !isWorthIt || number == attempts {
			return result, err
		}
		pause := 100 * time.Millisecond << number
		time.Sleep(wait + pause + time.Duration(rand.Int63n(int64(pause))))
	}
}

func waitAfter(err error) (wait time.Duration, isWorthIt bool) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.RetryAfter, refusal.Code == "RATE_LIMITED" || refusal.Code == "UNAVAILABLE"
	}
	for _, transient := range []error{nats.ErrNoResponders, nats.ErrNoStreamResponse, nats.ErrTimeout} {
		if errors.Is(err, transient) {
			return 0, true
		}
	}
	return 0, false
}

// request is for every request that may be repeated: all but the creation of a GROUP, which would make a second one.
func request[T any](nc *nats.Conn, subject string, body payload) (Answer[T], error) {
	return retry(func() (Answer[T], error) { return requestOnce[T](nc, subject, body) })
}

type Room struct {
	ID          string  `json:"id"`
	Title       *string `json:"title"` // absent if the platform asks for itself
	MemberCount int     `json:"memberCount"`
	UnreadCount int     `json:"unreadCount"`
	Created     bool    `json:"created"`
	Applied     bool    `json:"applied"`
}

type Message struct {
	ID        string     `json:"id"`
	Seq       int64      `json:"seq"`
	Content   *string    `json:"content"`
	CreatedAt time.Time  `json:"createdAt"`
	DeletedAt *time.Time `json:"deletedAt"`
	Duplicate bool       `json:"duplicate"`
}

type Unread struct {
	UnreadCount int `json:"unreadCount"`
}

// tour is for the user `backend`.
func tour(nc *nats.Conn) error {
	if _, err := request[any](nc, "chat.users.upsert", payload{"userId": kim, "name": "김철수"}); err != nil {
		return err
	}
	made, err := request[Room](nc, "chat.rooms.create", payload{"type": "DIRECT", "memberIds": []int{kim, lee}})
	if err != nil {
		return err
	}
	room := made.Data
	fmt.Println("room", room.ID, "of", room.MemberCount, "members")

	// Make the id once for each message, before the first attempt, and keep it with the message.
	messageID := newID()
	for i := 0; i < 2; i++ {
		saved, err := saveMessage(nc, messageID, room.ID, kim, "안녕하세요, Go입니다")
		if err != nil {
			return err
		}
		fmt.Println("saved at", saved.Seq, "on", saved.CreatedAt.Format(time.RFC3339), "duplicate:", saved.Duplicate)
	}

	var cursor *string
	for {
		page, err := request[[]Room](nc, "chat.rooms.list", payload{"userId": lee, "limit": 2, "cursor": cursor})
		if err != nil {
			return err
		}
		for _, listed := range page.Data {
			fmt.Println("listed", *listed.Title, listed.UnreadCount)
		}
		if cursor = page.NextCursor; cursor == nil {
			break
		}
	}

	unread, err := request[Unread](nc, "chat.messages.unreadCount", payload{"userId": lee, "roomId": room.ID})
	if err != nil {
		return err
	}
	read, err := request[Unread](nc, "chat.messages.markRead", payload{
		"userId": lee, "roomId": room.ID, "messageId": messageID,
	})
	if err != nil {
		return err
	}
	fmt.Println("unread", unread.Data.UnreadCount, "then", read.Data.UnreadCount)

	_, err = request[Room](nc, "chat.rooms.get", payload{"roomId": newID(), "userId": kim})
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	fmt.Println("refused", refusal.Code)
	return nil
}

func saveMessage(nc *nats.Conn, id, roomID string, senderID int, content string) (Message, error) {
	answer, err := request[Message](nc, "chat.messages.save", payload{
		"id": id, "roomId": roomID, "senderId": senderID, "content": content, "type": "TEXT",
	})
	return answer.Data, err
}

// bookings is for the user `booking`.
func bookings(nc *nats.Conn) error {
	version := time.Now().UnixMilli() // UnixNano would exceed 2^53
	bookingID := version % (1 << 31)
	created, err := request[Room](nc, "chat.rooms.create", payload{
		"type": "BOOKING", "bookingId": bookingID, "memberIds": []int{kim}, "version": version, "name": "토요일 7시",
	})
	if err != nil {
		return err
	}
	fmt.Println("room", created.Data.ID, "created:", created.Data.Created)

	for i := 0; i < 2; i++ {
		synced, err := request[Room](nc, "chat.rooms.syncMembers", payload{
			"bookingId": bookingID,
			"members":   []payload{{"userId": kim, "userName": "김철수"}, {"userId": lee, "userName": nil}},
			"version":   version + 1,
		})
		if err != nil {
			return err
		}
		fmt.Println("members", synced.Data.MemberCount, "applied:", synced.Data.Applied)
	}

	err = publishEvent(nc, "booking.*.updated", payload{
		"bookingId": bookingID, "members": []payload{{"userId": kim}}, "version": version + 2,
	})
	if err != nil {
		return err
	}
	return publishEvent(nc, "booking.*.cancelled", payload{"bookingId": bookingID})
}

// publishEvent returns once the stream has stored the event. The stream stores an event with the same Nats-Msg-Id once.
func publishEvent(nc *nats.Conn, subject string, event payload) error {
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	what := subject[strings.LastIndex(subject, ".")+1:]
	id := fmt.Sprint(event["bookingId"], ":", what, ":", event["version"])
	subject = strings.Replace(subject, "*", fmt.Sprint(event["bookingId"]), 1)
	stored, err := retry(func() (*nats.PubAck, error) { return js.Publish(subject, body, nats.MsgId(id)) })
	if err != nil {
		return err
	}
	fmt.Println("event", what, "is number", stored.Sequence, "of", stored.Stream)
	return nil
}

// setup is for the user `operator`, once. A second time changes nothing.
func setup(nc *nats.Conn) error {
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "BOOKING_EVENTS", Subjects: []string{"booking.*.*"}}); err != nil {
		return err
	}
	_, err = js.AddConsumer("CHAT_MESSAGES", &nats.ConsumerConfig{
		Durable:       "notifier",
		FilterSubject: roomFilter,
		DeliverPolicy: nats.DeliverNewPolicy,
		AckPolicy:     nats.AckExplicitPolicy,
	})
	if err != nil {
		return err
	}
	fmt.Println("the stream BOOKING_EVENTS and the consumer notifier of CHAT_MESSAGES are there")
	return nil
}

// entries is for the user `notifier`, until Ctrl-C.
func entries(nc *nats.Conn) error {
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	consumer, err := js.PullSubscribe(roomFilter, "notifier", nats.Bind("CHAT_MESSAGES", "notifier"))
	if err != nil {
		return err
	}
	known := entryLog{positions: map[string]position{}, epochs: map[string]string{}}
	for {
		messages, err := consumer.Fetch(20, nats.MaxWait(timeout))
		if err != nil && !errors.Is(err, nats.ErrTimeout) { // a timeout: nothing new
			log.Println("NATS:", err)
			time.Sleep(time.Second)
		}
		for _, message := range messages {
			if err := known.apply(message.Data); err != nil {
				log.Println("again in 5 s:", err)
				_ = message.NakWithDelay(5 * time.Second)
			} else if err := message.Ack(); err != nil {
				log.Println("it comes again:", err)
			}
		}
	}
}

type Entry struct {
	ID         string  `json:"id"`
	RoomID     string  `json:"roomId"`
	Kind       string  `json:"kind"`
	Type       string  `json:"type"`
	Seq        int64   `json:"seq"`
	ChangedSeq int64   `json:"changedSeq"`
	Epoch      string  `json:"epoch"`
	Content    *string `json:"content"` // null if deleted, absent in a reference: chat.messages.list has it then
}

type position struct {
	epoch      string
	changedSeq int64
}

// entryLog is what has been applied. Keep it in your database, in the transaction that does the work.
type entryLog struct {
	positions map[string]position // by message
	epochs    map[string]string   // the newest, by room
}

// apply: entries come at least once, and in any order, so whether one is news is a question of its message alone.
func (l entryLog) apply(body []byte) error {
	var entry Entry
	if err := json.Unmarshal(body, &entry); err != nil {
		return err
	}
	known, isKnown := l.epochs[entry.RoomID]
	if entry.Epoch < known {
		fmt.Println("void", entry.ID)
		return nil
	}
	if isKnown && entry.Epoch > known {
		fmt.Println("read the room again, back to the last common entry:", entry.RoomID)
	}
	if last := l.positions[entry.ID]; last.epoch == entry.Epoch && last.changedSeq >= entry.ChangedSeq {
		fmt.Println("known", entry.ID)
		return nil
	}
	content := "-"
	if entry.Content != nil {
		content = *entry.Content
	}
	fmt.Println(entry.Kind, entry.Type, entry.Seq, content)
	l.epochs[entry.RoomID] = entry.Epoch
	l.positions[entry.ID] = position{entry.Epoch, entry.ChangedSeq}
	return nil
}

func newID() string {
	var b [16]byte
	if _, err := cryptorand.Read(b[:]); err != nil {
		panic(err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func main() {
	options := []nats.Option{
		nats.UserInfo(os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD")),
		nats.MaxReconnects(-1),
		// A permission that is missing, for example.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Println("NATS:", err) }),
	}
	if prefix := os.Getenv("NATS_INBOX_PREFIX"); prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), options...)
	if err != nil {
		log.Fatal(err)
	}
	commands := map[string]func(*nats.Conn) error{"setup": setup, "tour": tour, "bookings": bookings, "entries": entries}
	err = commands[os.Args[1]](nc)
	_ = nc.Drain()
	if err != nil {
		log.Fatal(err)
	}
}
