import { setImmediate as endOfTurn } from 'node:timers/promises';
import { type ExecutionArgs, type ExecutionResult, getOperationAST, OperationTypeNode } from 'graphql';
import { ChatError } from '../../../domain/errors.js';
import { FairTurns, type FairTurnsOptions, type TurnTaker, type Wait } from '../../../domain/fair-turns.js';
import { extraPriceOf } from '../../../schema/bill.js';
import { complexityOf, hasUnpagedLists, mostComplexityOf } from '../../../schema/complexity.js';
import type { ChangeTurn, Context } from '../../../schema/context.js';
import { toGraphqlError } from '../../../schema/graphql-error.js';
import type { Execute } from '../execute.js';
import { countRootFields } from '../root-fields.js';
import type { LargeAnswers, Printed } from './large-answers.js';
import { tooMuchUnread, type UnreadAnswers } from './unread-answers.js';

/** Work that waits longer is refused: its client has probably given up. */
const maxWaitMs = 10_000;
/** More than an application requests that opens on ten devices at once. */
const maxWaitingQueries = 100;
/** As many as the rate of changes lets a user begin at once. */
const maxWaitingChanges = 500;
/** For HTTP requests. A socket with too many operations is not read for a while instead. */
const maxWaitingRequests = 250;
const maxRequestWaitMs = 2_000;
/** Parsing and validating a document counts as this many operations, and one more per `charsOfOperation` characters. */
const operationsOfText = 4;
const charsOfOperation = 300;
/** A frame of a socket has this many characters free, so that the longest message fits, even one of emoji only. */
const freeFrameLength = 10_000;
/** Reading a document beyond this time costs `operationsPerMs` operations per millisecond, which allows a tenth of a core. */
const freeReadingMs = 1;
const operationsPerMs = 5;
/** A longer time is not due to the document, but to another program or a garbage collection. */
const maxReadingMs = 50;
/** The part of a second's operations that may come at once; more are processed one after the other. */
const burstSeconds = 0.1;
/** The smallest operation costs about as much as this many fields of a large one; so does each root field. */
const minComplexity = 500;
/** Printing and sending this many UTF-16 units of a long answer takes as long as one field. */
const lengthPerField = 128;
/** For a shorter answer, the number of its fields is precise enough. */
const longAnswer = 65_536;
/** A larger operation runs alone. */
const complexityAtOnce = 5_000;
/** An answer with more fields is long, whatever is in them. */
const manyFields = 10_000;

export interface UserTurnsOptions {
  readonly unread: UnreadAnswers;
  readonly largeAnswers: LargeAnswers;
  /** The maximum number of running queries, and likewise of changes. */
  readonly maxOperationsAtOnce: number;
  readonly complexityPerMinute: number;
  readonly operationsPerMinute: number;
}

export interface Asker {
  readonly user: TurnTaker;
  /** Aborts when the client does not wait for the answer any more. Changes are made nevertheless. */
  readonly signal: () => AbortSignal;
}

interface Executed {
  readonly args: ExecutionArgs;
  /** The cost of the operation with full lists. */
  readonly paid: number;
}

/** The result of an operation. If it is large, it is printed already, and `result` has only its errors. */
export interface Answer {
  readonly result: ExecutionResult;
  readonly printed?: Printed;
}

/**
 * Limits the operations of one user on this instance, over HTTP and WebSocket together: how many run at the same time and
 * how many fields they touch per minute, separately for queries and changes. Other operations wait without a database
 * connection, and are refused after too long a wait.
 */
export class UserTurns {
  readonly #execute: Execute;
  readonly #unread: UnreadAnswers;
  readonly #largeAnswers: LargeAnswers;
  readonly #queries: FairTurns;
  readonly #changes: FairTurns;
  /** Counts all operations, including refused ones. */
  readonly #operations: FairTurns;

  constructor(execute: Execute, options: UserTurnsOptions) {
    const { unread, largeAnswers, maxOperationsAtOnce, complexityPerMinute, operationsPerMinute } = options;
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
    this.#largeAnswers = largeAnswers;
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
   * Counts an operation, even if it is refused later. Resolves when it may run.
   * @param length - the number of characters to parse; 0 for a known text
   * @throws {ChatError} RATE_LIMITED if it would have to wait too long
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
   * How long a frame of a socket has to wait before it is parsed, in milliseconds, because JSON may take twenty times its
   * size in memory. A short frame never waits. Charges the frame once it need not wait any more.
   * @param length - the number of characters of the whole frame
   */
  delayFrame(user: TurnTaker, length: number): number {
    if (length <= freeFrameLength) return 0;
    const restMs = this.#operations.restMs(user);
    if (restMs === 0) this.#operations.charge(user, (length - freeFrameLength) / charsOfOperation);
    return restMs;
  }

  /** Charges the user's allowance of operations for the milliseconds of parsing and validating a document. */
  chargeReading(user: TurnTaker, ms: number): void {
    if (ms <= freeReadingMs) return;
    this.#operations.charge(user, (Math.min(ms, maxReadingMs) - freeReadingMs) * operationsPerMs);
  }

  /** For how many milliseconds the user's sockets must not be read. */
  restMs(user: TurnTaker): number {
    return this.#operations.restMs(user);
  }

  /** Charges the user's allowance for the length of a long answer that was not printed here. */
  chargeAnswer(user: TurnTaker, text: string): void {
    if (text.length > longAnswer) this.#queries.charge(user, text.length / lengthPerField);
  }

  /** Executes a query in its turn; mutations take their turns one by one. A refusal is returned as a result. */
  async execute(args: ExecutionArgs, asker: Asker): Promise<Answer> {
    const operation = getOperationAST(args.document, args.operationName)?.operation;
    if (operation === OperationTypeNode.MUTATION) return this.#change(args, asker.user);
    let leave: (() => void) | undefined;
    try {
      const cost = costOf(args);
      leave = await this.#queries.enter(asker.user, { cost, signal: asker.signal });
      // Earlier answers may have become too many unread ones during the wait.
      if (this.#unread.isFull(asker.user)) throw tooMuchUnread();
      const result = await this.#execute(args);
      this.#queries.charge(asker.user, correctionOf(args, cost));
      return await this.#answer(asker.user, result, { args, paid: cost });
    } catch (error) {
      if (!(error instanceof ChatError)) throw error;
      return { result: { errors: [toGraphqlError(error)] } };
    } finally {
      leave?.();
    }
  }

  /** Prints a long answer within the turn of its operation, so that few answers of one user are made at the same time. */
  async #answer(user: TurnTaker, result: ExecutionResult, { args, paid }: Executed): Promise<Answer> {
    const { textLength = 0 } = args.contextValue as Context;
    // Texts that were read for an answer that is refused cost as much as if they were printed.
    if (textLength > longAnswer) this.#queries.charge(user, textLength / lengthPerField);
    else if (paid <= manyFields || result.data == null || touchedBy(args) <= manyFields) return { result };
    // Making a long answer took long: let other work run first.
    await endOfTurn();
    const printed = await this.#largeAnswers.print(user, result);
    if (textLength <= longAnswer && printed.bytes > longAnswer)
      this.#queries.charge(user, printed.bytes / lengthPerField);
    return { printed, result: result.errors === undefined ? { data: null } : { data: null, errors: result.errors } };
  }

  async #change(args: ExecutionArgs, user: TurnTaker): Promise<Answer> {
    const changeTurn = new UserChangeTurn(this.#changes, user, () => costOf(args));
    try {
      const context = args.contextValue as Context;
      // Inherits the rest: copying twenty properties takes longer than the turn.
      const deps: Context['deps'] = Object.assign(Object.create(context.deps), { onHeldUp: () => changeTurn.end() });
      const contextValue = { ...context, deps, changeTurn };
      const result = await this.#execute({ ...args, contextValue });
      if (changeTurn.paid > 0) this.#changes.charge(user, correctionOf({ ...args, contextValue }, changeTurn.paid));
      return await this.#answer(user, result, { args: { ...args, contextValue }, paid: changeTurn.paid });
    } finally {
      changeTurn.end();
    }
  }
}

/** The length of a known text is 0. */
const operationsOf = (length: number): number => (length === 0 ? 1 : 1 + operationsOfText + length / charsOfOperation);

/** The cost of an operation with full lists. Execution refuses an operation that cannot be measured or is too large. */
const costOf = (args: ExecutionArgs): number => toCost(args, () => mostComplexityOf(args));

/** The difference between the real cost of its lists and what was paid for full ones. */
const correctionOf = (args: ExecutionArgs, paid: number): number =>
  hasUnpagedLists(args.schema, args.document) ? toCost(args, () => touchedBy(args)) - paid : 0;

/** How many fields an executed operation has touched. @throws {GraphQLError} if it was refused, because it cannot be measured */
const touchedBy = (args: ExecutionArgs): number => complexityOf(args) + extraPriceOf(args.contextValue as Context);

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
 * The turn of an operation's mutations. Each mutation ends the turn of the previous one, whose answer is complete by then, so
 * that no turn is held during other waits. A mutation that waits for a lock of others gives up its turn.
 */
class UserChangeTurn implements ChangeTurn {
  readonly #turns: FairTurns;
  readonly #user: TurnTaker;
  /** The cost that was taken from the user's allowance. */
  paid = 0;
  /** The cost of the whole operation, which its first mutation pays. */
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
