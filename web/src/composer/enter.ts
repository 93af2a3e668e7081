/**
 * Sends at Enter, also while a syllable is being composed.
 *
 * A Korean input method ends its composition at Enter, in another order of events in every browser: the key comes before the
 * end (Chromium), after it (Safari), twice (macOS), or as `Process` (Windows). So Enter only notes what is to be sent, and it is
 * sent once the composition has ended and the field holds the whole text. An Enter that chooses among the candidates of a
 * Japanese or Chinese input method is part of writing, and sends nothing.
 */
export class EnterToSend {
  readonly #send: () => void;
  #isComposing = false;
  /** Whether the running composition is to be sent when it ends. */
  #isWanted = false;
  /** What the last composition has written, until the next key. */
  #composed = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param send - sends what the field holds, and nothing if that is blank */
  constructor(send: () => void) {
    this.#send = send;
  }

  compositionStart(): void {
    this.#isComposing = true;
    this.#composed = '';
  }

  compositionUpdate(text: string): void {
    this.#composed = text;
  }

  compositionEnd(text: string): void {
    this.#isComposing = false;
    this.#composed = text;
    if (!this.#isWanted) return;
    this.#isWanted = false;
    if (endsInHangul(text)) this.#sendSoon();
  }

  /** Returns whether the key was for this: then the field must not write a line. */
  keyDown({ key, code, keyCode, shiftKey, isComposing }: Key): boolean {
    // What was typed right after the Enter is not part of the message.
    this.#flush();
    const isEnter =
      key === 'Enter' || ((key === 'Process' || keyCode === 229) && (code === 'Enter' || code === 'NumpadEnter'));
    if (!isEnter) {
      if (keyCode !== 229) this.#composed = '';
      return false;
    }
    if (shiftKey) return false;
    if (isComposing || this.#isComposing) {
      this.#isWanted = true;
      // The input method needs the key to end its composition.
      return false;
    }
    // Safari ends the composition before the key that ended it.
    const isOfComposition = keyCode === 229;
    if (!isOfComposition) this.#send();
    else if (endsInHangul(this.#composed)) this.#sendSoon();
    this.#composed = '';
    return true;
  }

  /** The button was pressed. Returns whether a composition is running: it is sent when that has ended. */
  want(): boolean {
    if (this.#isComposing) this.#isWanted = true;
    return this.#isComposing;
  }

  /** The field goes away: a composition that was to be sent ends without an event. */
  leave(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    if (endsInHangul(this.#composed)) this.#sendSoon();
  }

  /** After this event the field holds the whole text. A second Enter of the same key press finds it empty. */
  #sendSoon(): void {
    this.#timer ??= setTimeout(() => this.#flush(), 0);
  }

  #flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#send();
  }
}

type Key = Pick<KeyboardEvent, 'key' | 'code' | 'keyCode' | 'shiftKey' | 'isComposing'>;

const endsInHangul = (text: string): boolean => /[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]$/.test(text);
