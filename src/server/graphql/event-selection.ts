import type { DocumentNode, ExecutionArgs } from 'graphql';
import { assertSmallEvents, complexityOf, mostComplexityOf } from '../../schema/complexity.js';
import { type EventsDependOn, findWhatEventsDependOn } from '../../schema/of-viewer.js';

interface Plan {
  readonly number: number;
  readonly eventsDependOn: EventsDependOn;
  /** Of the newest subscription: the variables, with which its events were found small, and what it selects. */
  newest: { readonly values: string; readonly selected: EventSelection } | undefined;
}

/** What a subscription selects of each event. */
export interface EventSelection {
  /** Equal for all with the same selection; null where it is not compared with others'. */
  readonly key: string | null;
  /** Whether it depends on who asks. */
  readonly isOfViewer: boolean;
  /** How many fields one event touches, beside what its lists turn out to hold. */
  readonly cost: number;
  /** The most that it may touch. */
  readonly price: number;
}

/** Variables of a selection that are longer than this in JSON are one subscriber's own, and are not compared with others'. */
const maxSharedVariables = 1_000;

/** By document, which the parser's cache makes one object for one text, and by the operation's name. */
const plans = new WeakMap<DocumentNode, Map<string, Plan>>();
let planCount = 0;

function planOf({ schema, document, operationName }: ExecutionArgs): Plan {
  const byName = plans.get(document) ?? new Map<string, Plan>();
  plans.set(document, byName);
  let plan = byName.get(operationName ?? '');
  if (plan === undefined) {
    planCount += 1;
    const eventsDependOn = findWhatEventsDependOn(schema, document, operationName);
    plan = { number: planCount, eventsDependOn, newest: undefined };
    byName.set(operationName ?? '', plan);
  }
  return plan;
}

/** @throws {ChatError} BAD_USER_INPUT where one event may be too large */
export function findEventSelection(args: ExecutionArgs): EventSelection {
  const plan = planOf(args);
  const { variables, viewer: isOfViewer } = plan.eventsDependOn;
  const given = args.variableValues ?? {};
  // Null is another value than none, which is the default.
  const values = JSON.stringify(variables.map((name) => (Object.hasOwn(given, name) ? [given[name]] : [])));
  if (plan.newest?.values === values) return plan.newest.selected;
  assertSmallEvents(args);
  const isShort = values.length <= maxSharedVariables;
  const selected = {
    key: isShort ? `${plan.number} ${values}` : null,
    isOfViewer,
    cost: complexityOf(args),
    price: mostComplexityOf(args),
  };
  if (isShort) plan.newest = { values, selected };
  return selected;
}
