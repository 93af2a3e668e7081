/** Preloaded into a process; shifts its wall clock by CLOCK_SHIFT_MS. */
const shiftMs = Number(process.env['CLOCK_SHIFT_MS'] ?? 0);
const rightNow = Date.now;

class ShiftedDate extends Date {
  /** @param {any[]} args */
  constructor(...args) {
    super(.../** @type {[number]} */ (args.length === 0 ? [ShiftedDate.now()] : args));
  }

  /** @override */
  static now() {
    return rightNow() + shiftMs;
  }
}

globalThis.Date = /** @type {DateConstructor} */ (/** @type {unknown} */ (ShiftedDate));
