/** So many addresses of sent files are kept: what was just sent goes on being shown from this device. */
const maxPreviews = 50;

/** Addresses of files on this device, for `img`, `video` and `audio`. */
export class Previews {
  readonly #urls = new Map<string, string>();

  get(id: string): string | undefined {
    return this.#urls.get(id);
  }

  /** Does nothing where the platform has no such addresses. */
  add(id: string, bytes: Blob): void {
    if (this.#urls.has(id) || typeof URL.createObjectURL !== 'function') return;
    this.#urls.set(id, URL.createObjectURL(bytes));
    for (const oldest of this.#urls.keys()) {
      if (this.#urls.size <= maxPreviews) break;
      this.#drop(oldest);
    }
  }

  clear(): void {
    for (const id of [...this.#urls.keys()]) this.#drop(id);
  }

  #drop(id: string): void {
    URL.revokeObjectURL(this.#urls.get(id) ?? '');
    this.#urls.delete(id);
  }
}
