import type { Connection } from '../connection/connection.js';
import type { Operation } from '../connection/line.js';
import type { Environment } from '../environment/environment.js';
import { asFairwayError, FairwayError, type FairwayErrorCode, isFinal } from '../errors.js';
import { inTime } from '../in-time.js';
import {
  DeleteMessageDocument,
  EditMessageDocument,
  MarkReadDocument,
  SendMessageDocument,
} from '../operations/generated/documents.js';
import type { Message } from '../room/log.js';
import type { Files } from './files.js';
import { hasFiles, type OutboxOperation } from './operation.js';

/** After this time without an answer, the socket is asked whether it lives. */
const patienceMs = 3_000;
/** A living socket answers the ping in this time; then the operation goes over HTTP as well. */
const pingMs = 2_000;

/** How one attempt ended. */
export type Delivery =
  | { readonly state: 'done'; readonly message?: Message }
  /** Repeating it cannot succeed. */
  | { readonly state: 'refused'; readonly code: FairwayErrorCode }
  | { readonly state: 'later'; readonly isFailure: boolean; readonly afterMs?: number }
  /** The server was not reached: that is no attempt. */
  | { readonly state: 'offline' };

interface DeliveryDeps {
  readonly environment: Environment;
  readonly connection: Connection;
  /** How files are sent, if that was given to the client. */
  readonly files: Files | undefined;
  /** The end of the client. */
  readonly ended: AbortSignal;
  /** When a message was last edited, null if never; undefined if it is not known here. */
  editedAtOf(roomId: string, messageId: string): string | null | undefined;
}

/** Makes one attempt to deliver an operation. It never rejects. Repeating it is safe, over any transport. */
export async function deliver(deps: DeliveryDeps, operation: OutboxOperation): Promise<Delivery> {
  const heardBefore = deps.connection.socketState.heard;
  try {
    return { state: 'done', ...(await execute(deps, operation)) };
  } catch (thrown) {
    const error = asFairwayError(thrown);
    // What is not there need not be deleted.
    if (operation.kind === 'delete' && error.code === 'NOT_FOUND') return { state: 'done' };
    if (isFinal(error)) return { state: 'refused', code: error.code };
    const { retryAfterMs: afterMs } = error;
    const wait = afterMs === undefined ? {} : { afterMs };
    switch (error.code) {
      case 'RATE_LIMITED':
        return { state: 'later', isFailure: false, ...wait };
      case 'NO_ANSWER': {
        // Silence of the whole network is no failure of the server.
        const { isOpen, heard } = deps.connection.socketState;
        return { state: 'later', isFailure: isOpen && heard > heardBefore };
      }
      case 'UNAVAILABLE':
      case 'INTERNAL':
        return { state: 'later', isFailure: true, ...wait };
      default:
        return { state: 'offline' };
    }
  }
}

/** What to execute for an operation, and the message in its result. */
async function execute(deps: DeliveryDeps, operation: OutboxOperation): Promise<{ message?: Message }> {
  switch (operation.kind) {
    case 'send': {
      const { id, roomId, type, content } = operation;
      const attachmentIds = hasFiles(operation)
        ? await (deps.files as Files).upload(
            operation,
            (document, variables) => ask(deps, document, variables),
            deps.ended,
          )
        : undefined;
      const input = { id, roomId, type, content, attachmentIds };
      const { sendMessage } = await ask(deps, SendMessageDocument, { input });
      return sendMessage;
    }
    case 'edit': {
      const { roomId, messageId, content } = operation;
      // The server refuses a late copy of this one after a later edit.
      const editedAt = deps.editedAtOf(roomId, messageId);
      const input = { messageId, content, ...(editedAt !== undefined && { editedAt }) };
      // Two copies under way could end in the wrong order with a later edit.
      const { editMessage } = await ask(deps, EditMessageDocument, { input }, editedAt !== undefined);
      return editMessage;
    }
    case 'delete': {
      const { deleteMessage } = await ask(deps, DeleteMessageDocument, { input: { messageId: operation.messageId } });
      return deleteMessage;
    }
    case 'read': {
      const { roomId, messageId } = operation;
      await ask(deps, MarkReadDocument, { input: { roomId, messageId } });
      return {};
    }
  }
}

/** Executes over the socket; if it stays silent, over HTTP. The first answer counts. */
async function ask<Result, Variables>(
  { environment, connection }: DeliveryDeps,
  document: Operation<Result, Variables>,
  variables: Variables,
  mayRunTwice = true,
): Promise<Result> {
  if (!connection.socketState.isOpen) return connection.request(document, variables, { overHttp: true });
  const overSocket = connection.request(document, variables);
  const first = await answerOf(environment, overSocket, patienceMs);
  if (first !== undefined) return first.value;
  connection.check();
  const second = mayRunTwice ? await answerOf(environment, overSocket, pingMs) : { value: await whileOpen(overSocket) };
  if (second?.value !== undefined) return second.value;
  const overHttp = connection.request(document, variables, { overHttp: true });
  return mayRunTwice ? firstAnswer(overSocket, overHttp) : overHttp;
}

/** Undefined if the socket ended without an answer. */
async function whileOpen<Result>(request: Promise<Result>): Promise<Result | undefined> {
  try {
    return await request;
  } catch (error) {
    if (asFairwayError(error).code !== 'OFFLINE') throw error;
    return undefined;
  }
}

/** The result if it comes in time; undefined if it does not, or the socket was lost meanwhile. */
async function answerOf<Result>(
  environment: Environment,
  request: Promise<Result>,
  ms: number,
): Promise<{ value: Result } | undefined> {
  try {
    return { value: await inTime(environment, request, ms) };
  } catch (error) {
    if (['OFFLINE', 'NO_ANSWER'].includes(asFairwayError(error).code)) return undefined;
    throw error;
  }
}

/** The first of both that was answered, even with a refusal. */
function firstAnswer<Result>(one: Promise<Result>, other: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    let unanswered = 2;
    const failed = (error: unknown) => {
      unanswered -= 1;
      const { code } = asFairwayError(error);
      if (unanswered === 0 || (code !== 'OFFLINE' && code !== 'NO_ANSWER')) reject(error);
    };
    one.then(resolve, failed);
    other.then(resolve, failed);
  });
}

/** Delivers a read mark while the page ends, without waiting for the answer. */
export function deliverLastWord(
  { connection }: Pick<DeliveryDeps, 'connection'>,
  roomId: string,
  messageId: string,
): void {
  const options = { overHttp: true, isLastWord: true };
  connection.request(MarkReadDocument, { input: { roomId, messageId } }, options).catch((error) => {
    if (!(error instanceof FairwayError)) throw error;
  });
}
