import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST, OperationTypeNode } from 'graphql';
import { ChatError } from '../../../domain/errors.js';
import { FairTurns, type FairTurnsOptions, type TurnTaker, type Wait } from '../../../domain/fair-turns.js';
import { extraPriceOf } from '../../../schema/bill.js';
import { complexityOf, hasUnpagedLists, mostComplexityOf } from '../../../schema/complexity.js';
import type { ChangeTurn, Context } from '../../../schema/context.js';
import type { Execute } from '../execute.js';
import { countRootFields } from '../root-fields.js';
import { tooMuchUnread, type UnreadAnswers } from './unread-answers.js';

/** What waits longer than this has a client that gave up, or one that should. */
const maxWaitMs = 10_000;
/** An application that opens on ten devices asks for less at once. */
const maxWaitingQueries = 100;
/** All that the rate of changes lets a user begin at once. */
const maxWaitingChanges = 500;
/** Over HTTP, as many as loop without a pause. A socket that asks for more is not read meanwhile. */
const maxWaitingRequests = 250;
const maxRequestWaitMs = 2_000;
/** To parse and validate a document costs so many operations, and one more for so many characters. */
const operationsOfText = 4;
const charsOfOperation = 300;
/** A frame of a socket has so many characters for nothing beside: the longest message fits, also one of emoji alone. */
const freeFrameLength = 10_000;
/** A document that takes longer to be read, in milliseconds, costs so many operations more for each further one: a tenth of a core. */
const freeReadingMs = 1;
const operationsPerMs = 5;
/** Whatever takes longer waited for something else: another program, or a garbage collection. */
const maxReadingMs = 50;
/** Such a part of a second's operations may come at once; the others are taken up one after the other. */
const burstSeconds = 0.1;
/** The smallest operation costs about as much as so many fields of a large one; so does each field that is asked for by itself. */
const minComplexity = 500;
/** To print and send a long answer takes as long as a field for each so many UTF-16 units of it. */
const lengthPerField = 128;
/** The fields of a shorter one tell well enough what it costs. */
const longAnswer = 65_536;
/** A larger operation goes alone. */
const complexityAtOnce = 5_000;

export interface UserTurnsOptions {
  /** Queries, and likewise changes. */
  readonly maxOperationsAtOnce: number;
  readonly complexityPerMinute: number;
  readonly operationsPerMinute: number;
}

export interface Asker {
  readonly user: TurnTaker;
  /** Aborted where nobody waits for the answer any more. What is to be changed is changed anyway. */
  readonly signal: () => AbortSignal;
}

/**
 * Bounds what is executed for one user on this instance, over HTTP and WebSocket together: how much at the same time and
 * how large within a while, queries and changes each. The rest waits, holds nothing of the database meanwhile, and is
 * refused where that would take too long.
 */
export class UserTurns {
  readonly #execute: Execute;
  readonly #unread: UnreadAnswers;
  readonly #queries: FairTurns;
  readonly #changes: FairTurns;
  /** All that is asked, whatever becomes of it. */
  readonly #operations: FairTurns;

  constructor(execute: Execute, unread: UnreadAnswers, options: UserTurnsOptions) {
    const { maxOperationsAtOnce, complexityPerMinute, operationsPerMinute } = options;
    const operationsPerSecond = operationsPerMinute / 60;
    const perSecond = complexityPerMinute / 60;
    const bounds: Omit<FairTurnsOptions, 'maxWaitingPerUser'> = {
      atOncePerUser: maxOperationsAtOnce,
      costAtOnce: complexityAtOnce,
      maxWaitMs,
      allowance: { burst: perSecond, perSecond },
    };
    this.#execute = execute;
    this.#unread = unread;
    this.#operations = new FairTurns({
      atOncePerUser: Number.POSITIVE_INFINITY,
      maxWaitingPerUser: maxWaitingRequests,
      maxWaitMs: maxRequestWaitMs,
      allowance: { burst: operationsPerSecond * burstSeconds, perSecond: operationsPerSecond },
    });
    this.#queries = new FairTurns({ ...bounds, maxWaitingPerUser: maxWaitingQueries });
    this.#changes = new FairTurns({ ...bounds, maxWaitingPerUser: maxWaitingChanges });
  }

  /**
   * Counts an operation, be it refused later. Resolves when the user may ask for it.
   * @param length - of the text that is to be parsed, in characters
   * @throws {ChatError} RATE_LIMITED where that would take too long
   */
  admit({ user, signal }: Asker, length: number): Promise<void> {
    return this.#operations.take(user, () => undefined, { cost: operationsOf(length), signal });
  }

  /** The same for a socket: returns how long the next operation has to wait, in milliseconds. */
  count(user: TurnTaker, length: number): number {
    this.#operations.charge(user, operationsOf(length));
    return this.#operations.restMs(user);
  }

  /**
   * How long a frame of a socket has to wait before it is parsed, in milliseconds: JSON of another kind is twenty times as
   * large in memory. A short one need not wait. It is paid for where it need not, or not any more.
   * @param length - of the whole frame, in characters
   */
  delayFrame(user: TurnTaker, length: number): number {
    if (length <= freeFrameLength) return 0;
    const restMs = this.#operations.restMs(user);
    if (restMs === 0) this.#operations.charge(user, (length - freeFrameLength) / charsOfOperation);
    return restMs;
  }

  /** Takes from the user's allowance of operations what it took to parse and validate a document, in milliseconds. */
  chargeReading(user: TurnTaker, ms: number): void {
    if (ms <= freeReadingMs) return;
    this.#operations.charge(user, (Math.min(ms, maxReadingMs) - freeReadingMs) * operationsPerMs);
  }

  /** How long the user's sockets are not to be read from, in milliseconds. */
  restMs(user: TurnTaker): number {
    return this.#operations.restMs(user);
  }

  /** Takes from the user's allowance what a long answer costs beside its fields. */
  chargeAnswer(user: TurnTaker, text: string): void {
    if (text.length > longAnswer) this.#queries.charge(user, text.length / lengthPerField);
  }

  /** Executes a query in its turn; the mutations of an operation take theirs one by one. What is refused is an answer too. */
  async execute(args: ExecutionArgs, asker: Asker): Promise<ExecutionResult> {
    const operation = getOperationAST(args.document, args.operationName)?.operation;
    if (operation === OperationTypeNode.MUTATION) return this.#change(args, asker.user);
    let leave: (() => void) | undefined;
    try {
      const cost = costOf(args);
      leave = await this.#queries.enter(asker.user, { cost, signal: asker.signal });
      // What was answered while this waited may be unread still.
      if (this.#unread.isFull(asker.user)) throw tooMuchUnread();
      const result = await this.#execute(args);
      this.#queries.charge(asker.user, correctionOf(args, cost));
      return result;
    } catch (error) {
      if (!(error instanceof ChatError)) throw error;
      return { errors: [new GraphQLError(error.message, { originalError: error })] };
    } finally {
      leave?.();
    }
  }

  async #change(args: ExecutionArgs, user: TurnTaker): Promise<ExecutionResult> {
    const changeTurn = new OperationTurn(this.#changes, user, () => costOf(args));
    try {
      const context = args.contextValue as Context;
      const deps = { ...context.deps, onHeldUp: () => changeTurn.end() };
      const contextValue = { ...context, deps, changeTurn };
      const result = await this.#execute({ ...args, contextValue });
      if (changeTurn.paid > 0) this.#changes.charge(user, correctionOf({ ...args, contextValue }, changeTurn.paid));
      return result;
    } finally {
      changeTurn.end();
    }
  }
}

/** A text that is known already has no length here. */
const operationsOf = (length: number): number => (length === 0 ? 1 : 1 + operationsOfText + length / charsOfOperation);

/** What an operation may cost with full lists. What cannot be measured, or is too large, is refused where it is executed. */
const costOf = (args: ExecutionArgs): number => toCost(args, () => mostComplexityOf(args));

/** What it has cost with what its lists held, beside what was paid for full ones. */
const correctionOf = (args: ExecutionArgs, paid: number): number =>
  hasUnpagedLists(args.schema, args.document)
    ? toCost(args, () => complexityOf(args) + extraPriceOf(args.contextValue as Context)) - paid
    : 0;

function toCost({ document, operationName, contextValue }: ExecutionArgs, measure: () => number): number {
  const { maxComplexity } = (contextValue as Context).deps.limits;
  const least = minComplexity * countRootFields(document, operationName);
  try {
    return Math.min(Math.max(least, measure()), maxComplexity) || least;
  } catch {
    return least;
  }
}

/**
 * The turn of an operation's mutations. Each ends the one of the mutation before, whose answer is complete by then, so
 * that who waits for something else meanwhile holds no turn. One that waits for what others hold gives up its own.
 */
class OperationTurn implements ChangeTurn {
  readonly #turns: FairTurns;
  readonly #user: TurnTaker;
  /** What has been taken from the user's allowance. */
  paid = 0;
  /** Of the operation as a whole, which its first mutation pays. */
  #findCost: (() => number) | undefined;
  #leave: (() => void) | undefined;

  constructor(turns: FairTurns, user: TurnTaker, findCost: () => number) {
    this.#turns = turns;
    this.#user = user;
    this.#findCost = findCost;
  }

  async begin(wait: Pick<Wait, 'isPatient'> = {}): Promise<void> {
    const cost = this.#findCost?.() ?? 0;
    this.#findCost = undefined;
    this.paid += cost;
    this.#leave = await this.#turns.enter(this.#user, { ...wait, cost });
  }

  end(): void {
    this.#leave?.();
    this.#leave = undefined;
  }
}
