import {
  type MessagePageFragment,
  MessagesAroundDocument,
  NewerMessagesDocument,
  OlderMessagesDocument,
} from '../operations/generated/documents.js';
import type { Session } from '../session.js';
import type { LiveLog } from './live-log.js';
import { addNewer, addOlder, type Log, type Message, showPart } from './log.js';

const pageSize = 50;

/** Loads the parts of a room's history that are not there. Each resolves with false if it could not be loaded. */
export class History {
  isLoadingOlder = false;
  isLoadingNewer = false;
  /** The changes that arrive while a page is on its way, which may be older than they are. */
  readonly #changed = new Map<string, Message>();
  #loads = 0;

  constructor(
    private readonly session: Session,
    private readonly roomId: string,
    private readonly live: LiveLog,
    private readonly onChange: () => void,
  ) {}

  /** The page before the first message. */
  async loadOlder(): Promise<boolean> {
    const { log } = this.live;
    const before = log?.messages[0]?.cursor;
    if (log === undefined || before === undefined || !log.hasOlder || this.isLoadingOlder) return false;
    this.isLoadingOlder = true;
    const isLoaded = await this.#load(
      async () => {
        const variables = { roomId: this.roomId, count: pageSize, before };
        const { room } = await this.session.connection.request(OlderMessagesDocument, variables);
        return room?.messages;
      },
      // Another part of the history may be shown by now.
      (now, page) => (now.messages[0]?.cursor === before ? addOlder(now, page) : now),
    );
    this.isLoadingOlder = false;
    this.onChange();
    return isLoaded;
  }

  /** The page after the last message, where an older part of the history is shown. */
  async loadNewer(): Promise<boolean> {
    const { log } = this.live;
    const after = log?.messages.at(-1)?.cursor;
    if (log === undefined || after === undefined || !log.hasNewer || this.isLoadingNewer) return false;
    this.isLoadingNewer = true;
    const ask = async () => {
      const variables = { roomId: this.roomId, count: pageSize, after };
      const { room } = await this.session.connection.request(NewerMessagesDocument, variables);
      return room?.messages;
    };
    const isLoaded = await this.#load(ask, (now, page) =>
      now.messages.at(-1)?.cursor === after ? addNewer(now, page, log.seq) : now,
    );
    this.isLoadingNewer = false;
    this.onChange();
    return isLoaded;
  }

  /** The part around a message. */
  async goTo(messageId: string): Promise<boolean> {
    if (this.live.log?.messages.some(({ id }) => id === messageId)) return true;
    return this.#load(async () => {
      const variables = { roomId: this.roomId, messageId, count: pageSize };
      const { room } = await this.session.connection.request(MessagesAroundDocument, variables);
      return room?.messagesAround;
    }, showPart);
  }

  /** A message has changed: a page that is on its way may not show it. */
  note(message: Message): void {
    if (this.#loads > 0) this.#changed.set(message.id, message);
  }

  /** Loads a page and adds it to the log of that time. */
  async #load(
    ask: () => Promise<MessagePageFragment | undefined>,
    add: (log: Log, page: MessagePageFragment) => Log,
  ): Promise<boolean> {
    const { life } = this.live;
    this.#loads += 1;
    this.onChange();
    try {
      const page = await ask();
      const { log } = this.live;
      if (page === undefined || log === undefined || life !== this.live.life) return false;
      const edges = page.edges.map(({ node }) => ({ node: { ...node, ...this.#changed.get(node.id) } }));
      this.live.log = add(log, { ...page, edges });
      return true;
    } catch {
      return false;
    } finally {
      this.#loads -= 1;
      if (this.#loads === 0) this.#changed.clear();
      this.onChange();
    }
  }
}
