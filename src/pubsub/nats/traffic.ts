/** Messages and the bytes of their bodies, since the start. */
interface Flow {
  messages: number;
  bytes: number;
}

/** What this instance has sent to and received from the instances on one kind of subject, its own messages included. */
export interface KindTraffic {
  readonly published: Flow;
  readonly received: Flow;
}

/**
 * Counts messages by kind of subject, which is the subject's last token: `message`, `read`, `typing`. Last tokens are never
 * ids, so there are about a dozen kinds.
 */
export class Traffic {
  readonly #kinds = new Map<string, KindTraffic>();

  get kinds(): ReadonlyMap<string, KindTraffic> {
    return this.#kinds;
  }

  /** The counters of the subject's kind. */
  of(subject: string): KindTraffic {
    const kind = subject.slice(subject.lastIndexOf('.') + 1);
    const known = this.#kinds.get(kind);
    if (known !== undefined) return known;
    const traffic = { published: { messages: 0, bytes: 0 }, received: { messages: 0, bytes: 0 } };
    this.#kinds.set(kind, traffic);
    return traffic;
  }
}

export function note(flow: Flow, body: Uint8Array): void {
  flow.messages += 1;
  flow.bytes += body.length;
}
