import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { identifyProcess, isRunning, type ProcessIdentity } from '../../src/dev/embedded/process-identity.js';
import { TestClient } from '../support/client.js';
import { findOwnPort } from '../support/own-port.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';

const project = resolve(import.meta.dirname, '../..');
const startTimeoutMs = 240_000;
const isRoot = process.getuid?.() === 0;
const nobody = 65_534;

/** `npm start` by a new user: in a clone, with a minimal environment. */
class Start {
  readonly npm: ChildProcess;
  readonly port: number;
  /** Resolves once it has exited and everything that it wrote is in the output. */
  readonly ended: Promise<unknown>;
  #output = '';

  constructor(clone: string, port: number, { env = {}, uid }: { env?: Record<string, string>; uid?: number } = {}) {
    this.port = port;
    this.npm = spawn('npm', ['start'], {
      cwd: clone,
      env: { PATH: process.env.PATH, HOME: uid === undefined ? homedir() : clone, PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.ended = once(this.npm, 'close');
    for (const stream of [this.npm.stdout, this.npm.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  get output(): string {
    return this.#output;
  }

  /** Resolves once it answers; fails with its output if it exits before. */
  async answers(): Promise<void> {
    await waitFor(
      async () => {
        if (this.npm.exitCode !== null) return 'ended';
        return (await this.queryTypename().catch(() => undefined)) === 'Query';
      },
      { what: `an answer; so far: ${this.#output}`, timeoutMs: startTimeoutMs, pollMs: 50 },
    );
    expect(this.npm.exitCode, this.#output).toBeNull();
  }

  async queryTypename(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ __typename }' }),
    });
    return ((await response.json()) as { data: { __typename: string } }).data.__typename;
  }

  /** A client of a demo user, logged in through the development login. */
  async demoUser(userId: number): Promise<TestClient> {
    const url = `http://127.0.0.1:${this.port}`;
    const response = await fetch(`${url}/dev/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ userId }),
    });
    const { token } = (await response.json()) as { token: string };
    return TestClient.create({ url }, userId, token);
  }

  /** npm and everything that it started, at any depth. */
  processes(): ProcessIdentity[] {
    return descendants(this.npm.pid ?? -1).map(identifyProcess);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.npm.exitCode !== null || this.npm.signalCode !== null) return this.npm.exitCode;
    const exited = once(this.npm, 'exit');
    this.npm.kill(signal);
    await exited;
    return this.npm.exitCode;
  }
}

describeWithNats('npm start in a fresh clone', () => {
  let folder: string;
  let clone: string;
  const starts: Start[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-launch-'));
    chmodSync(folder, 0o755);
    clone = makeClone(join(folder, 'clone'));
  });
  afterEach(async () => {
    const processes = starts.flatMap((start) => start.processes());
    await Promise.all(starts.splice(0).map((start) => start.stop()));
    for (const left of processes.filter(isRunning)) process.kill(left.pid, 'SIGKILL');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const start = async (where = clone, options: ConstructorParameters<typeof Start>[2] = {}) => {
    const started = new Start(where, await findOwnPort(), options);
    starts.push(started);
    return started;
  };

  it('generates, builds, migrates and serves, and SIGTERM leaves no process behind', async () => {
    const first = await start();
    await first.answers();
    const processes = first.processes();

    expect(first.output).toContain(`http://127.0.0.1:${first.port}/graphql`);
    expect(first.output).toContain('김철수 (4)');
    expect(processes.length).toBeGreaterThanOrEqual(4);
    expect(await first.stop()).toBe(0);
    expect(processes.filter(isRunning)).toEqual([]);
  });

  it('serves without another set-up when everything is set up', async () => {
    const stamps = ['dist/.fingerprint', 'src/db/generated/.fingerprint'].map((path) => join(clone, path));
    const timesOf = () => stamps.map((path) => statSync(path).mtimeMs);
    const before = timesOf();

    const warm = await start();
    await warm.answers();

    expect(timesOf()).toEqual(before);
    expect(warm.output).not.toMatch(/Installing|Generating|Building/);
  });

  it('delivers a message from one demo user to another', async () => {
    const served = await start();
    await served.answers();
    const [kim, lee] = await Promise.all([served.demoUser(4), served.demoUser(5)]);
    const room = await kim.direct(5);
    const feed = lee.roomEvents({ roomId: room });
    await feed.until((events) => events.length > 0, 'RoomReady');

    const { message } = await kim.send(room, '안녕하세요');

    const [, added] = await feed.count(2);
    expect(added).toMatchObject({ __typename: 'MessageAdded', message: { id: message.id, senderName: '김철수' } });
    await Promise.all([kim.close(), lee.close()]);
  });

  it.each(['npm', 'the script', 'the server'])('starts again after kill -9 of %s', async (victim) => {
    const killed = await start();
    await killed.answers();
    const processes = killed.processes();
    const [npm, script, server] = processes;
    const target = { npm, 'the script': script, 'the server': server }[victim];
    process.kill(target?.pid ?? -1, 'SIGKILL');

    const next = await start();
    await next.answers();
    expect(processes.filter(isRunning)).toEqual([]);
  });

  it('starts twice side by side with different ports and data folders', async () => {
    const one = await start();
    const two = await start(clone, { env: { DATA_DIR: join(folder, 'data-2') } });

    await Promise.all([one.answers(), two.answers()]);
    expect(await one.stop()).toBe(0);
    expect(await two.queryTypename()).toBe('Query');
  });

  it('refuses a data folder in use and a taken port, with an explanation', async () => {
    const first = await start();
    await first.answers();

    const sameData = await start();
    expect(await exitCode(sameData)).toBe(1);
    expect(sameData.output).toContain('in use by another Fairway');

    const samePort = new Start(clone, first.port, { env: { DATA_DIR: join(folder, 'data-3') } });
    starts.push(samePort);
    expect(await exitCode(samePort)).toBe(1);
    expect(samePort.output).toContain(`Port ${first.port} of 127.0.0.1 is in use`);
    // The port is checked before anything else starts, and nothing else is logged after the message.
    expect(samePort.output).not.toMatch(/PostgreSQL|Migrating|"level"/);
  });

  it('lists every mistake in the configuration', async () => {
    const mistaken = await start(clone, { env: { LOG_LEVEL: 'loud', AUTH_JWT_SECRET: 'short', MAX_DEPTH: '0' } });

    expect(await exitCode(mistaken)).toBe(1);
    expect(mistaken.output).toMatch(/LOG_LEVEL: /);
    expect(mistaken.output).toMatch(/MAX_DEPTH: /);
    expect(mistaken.output).not.toMatch(/\n\s+at /);
  });

  it.runIf(isRoot)('serves root from a clone that only root may enter', async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const closedClone = makeClone(join(closed, 'clone'));

    const first = await start(closedClone);
    await first.answers();
    expect(await first.stop()).toBe(0);
    const again = await start(closedClone);
    await again.answers();
    expect(await again.stop()).toBe(0);

    rmSync(readLink(join(closedClone, '.data/postgres')), { recursive: true });
  });

  it.runIf(isRoot)('serves an ordinary user from a clone of their own', async () => {
    const own = makeClone(join(folder, 'own'));
    giveTo(own, nobody);

    const ordinary = await start(own, { uid: nobody });
    await ordinary.answers();
    const processes = ordinary.processes();
    expect(await ordinary.stop()).toBe(0);
    expect(processes.filter(isRunning)).toEqual([]);
  });
});

/** The exit code of a start that is refused. */
async function exitCode({ npm, ended }: Start): Promise<number | null> {
  await ended;
  return npm.exitCode;
}

/** The files that git would commit, as they are now; the packages are linked, as installing them needs a network. */
function makeClone(target: string): string {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: project });
  for (const file of files.toString().split('\0')) {
    if (file === '' || !existsSync(join(project, file))) continue;
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(project, file), join(target, file));
  }
  symlinkSync(join(project, 'node_modules'), join(target, 'node_modules'));
  return target;
}

function giveTo(path: string, uid: number): void {
  lchownSync(path, uid, uid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) giveTo(join(path, entry.name), uid);
    else lchownSync(join(path, entry.name), uid, uid);
  }
}

/** The ids of the process and all its descendants by `ps`, parents first. */
function descendants(pid: number): number[] {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const parents = rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number]);
  const below = (parent: number): number[] =>
    parents.filter(([, ppid]) => ppid === parent).flatMap(([child]) => [child, ...below(child)]);
  return [pid, ...below(pid)];
}

const readLink = (path: string) => execFileSync('readlink', ['-f', path], { encoding: 'utf8' }).trim();
