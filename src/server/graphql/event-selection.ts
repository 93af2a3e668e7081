import type { DocumentNode, ExecutionArgs } from 'graphql';
import { assertSmallEvents, complexityOf, mostComplexityOf } from '../../schema/complexity.js';
import { type EventsDependOn, findWhatEventsDependOn } from '../../schema/of-viewer.js';

interface Plan {
  readonly number: number;
  readonly eventsDependOn: EventsDependOn;
  /** The variables of the newest subscription, whose events were checked for their size, and its selection. */
  newest: { readonly values: string; readonly selected: EventSelection } | undefined;
}

/** The selection of a subscription on each event. */
export interface EventSelection {
  /** Equal for all subscriptions with the same selection; null if this one is not compared with others. */
  readonly key: string | null;
  /** Whether it depends on the viewer. */
  readonly isOfViewer: boolean;
  /** How many fields one event touches, by an estimate of its unpaged lists. */
  readonly cost: number;
  /** How many fields one event may touch at most. */
  readonly price: number;
}

/** A selection with variables longer than this in JSON is not compared with others. */
const maxSharedVariables = 1_000;

/** By document and operation name. The parser's cache returns one document object per text. */
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

/** @throws {ChatError} BAD_USER_INPUT if one event may be too large */
export function findEventSelection(args: ExecutionArgs): EventSelection {
  const plan = planOf(args);
  const { variables, viewer: isOfViewer } = plan.eventsDependOn;
  const given = args.variableValues ?? {};
  // Null differs from an absent value, which means the default.
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
