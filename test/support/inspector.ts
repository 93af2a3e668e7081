import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Instance } from './instance.js';

/** Allows an `Inspector` to attach to the instance. */
export const inspectorEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };

/** An expression for a function that counts the objects in `this`, and the elements of maps and sets, by class. */
const countByClass = `function () {
  const { isMap, isSet } = process.getBuiltinModule('node:util').types;
  const counts = {};
  const add = (name, count) => { counts[name] = (counts[name] ?? 0) + count; };
  const names = new Map();
  const nameOf = (prototype) => {
    // Only data: a getter, or a class that inherits its name, may fail.
    const name = names.get(prototype) ?? String(Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value?.name);
    names.set(prototype, name);
    return name;
  };
  for (const object of this) {
    const name = nameOf(Object.getPrototypeOf(object));
    add(name, 1);
    if (isMap(object) || isSet(object)) add('elements of ' + name, object.size);
  }
  return counts;
}`;

/** Inspects an instance that was started with `inspectorEnv`. */
export class Inspector {
  readonly #socket: WebSocket;
  #calls = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async attach(instance: Instance): Promise<Inspector> {
    const address = /ws:\/\/127\.0\.0\.1:\d+\/\S+/.exec(instance.output())?.[0];
    if (address === undefined) throw new Error('The instance was not started with inspectorEnv');
    const socket = new WebSocket(address);
    await once(socket, 'open');
    return new Inspector(socket);
  }

  /**
   * The memory in use after a full collection, in bytes: the heap, and buffers and other memory outside of it. Unlike the
   * resident set, it includes neither garbage nor memory that the allocators keep for later.
   */
  async retainedBytes(): Promise<number> {
    await this.#call('HeapProfiler.collectGarbage');
    const { result } = (await this.#call('Runtime.evaluate', {
      expression: '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())',
    })) as { result: { value: number } };
    return result.value;
  }

  /**
   * The number of objects in memory after a full collection, by the name of their class, and of the elements of maps and
   * sets. Unlike bytes, and lengths of arrays, these do not include tables that have grown once and do not shrink.
   */
  async countObjects(): Promise<Map<string, number>> {
    const objectGroup = 'count';
    const prototype = (await this.#call('Runtime.evaluate', { expression: 'Object.prototype', objectGroup })) as Remote;
    const { objects } = (await this.#call('Runtime.queryObjects', {
      prototypeObjectId: prototype.result.objectId,
      objectGroup,
    })) as { objects: Remote['result'] };
    const { result } = (await this.#call('Runtime.callFunctionOn', {
      objectId: objects.objectId,
      functionDeclaration: countByClass,
      returnByValue: true,
    })) as Remote<Record<string, number>>;
    await this.#call('Runtime.releaseObjectGroup', { objectGroup });
    return new Map(Object.entries(result.value));
  }

  /** From now on, errors have their positions in the compiled files, and no file's source map is read and kept. */
  async disableSourceMaps(): Promise<void> {
    await this.#call('Runtime.evaluate', { expression: 'process.setSourceMapsEnabled(false)' });
  }

  /** Blocks the event loop for `busyMs` in every `everyMs`, for `forMs` in total or until `calmDown`; resolves at the end. */
  async keepBusy({ busyMs, everyMs, forMs }: { busyMs: number; everyMs: number; forMs: number }): Promise<void> {
    await this.#call('Runtime.evaluate', {
      awaitPromise: true,
      expression: `new Promise((resolve) => {
        const end = performance.now() + ${forMs};
        const timer = setInterval(() => {
          const until = performance.now() + ${busyMs};
          while (performance.now() < until);
          if (until < end && globalThis.isToCalmDown !== true) return;
          clearInterval(timer);
          resolve();
        }, ${everyMs});
      })`,
    });
  }

  async calmDown(): Promise<void> {
    await this.#call('Runtime.evaluate', { expression: 'globalThis.isToCalmDown = true' });
  }

  detach(): void {
    this.#socket.terminate();
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => {
      const listen = (data: unknown) => {
        const message = JSON.parse(String(data)) as { id?: number; result?: unknown };
        if (message.id !== id) return;
        this.#socket.off('message', listen);
        resolve(message.result);
      };
      this.#socket.on('message', listen);
    });
  }
}

interface Remote<Value = unknown> {
  readonly result: { readonly objectId: string; readonly value: Value };
}
