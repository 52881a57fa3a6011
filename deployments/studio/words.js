// Numbers in words.

const TIMES = "\u00d7";
const NARROW_SPACE = "\u202f";

/** Seconds to two or three digits, in milliseconds where they are few. */
export function seconds(value) {
  if (value < 0.0995) return `${Math.round(value * 1000)}${NARROW_SPACE}ms`;
  if (value < 9.95) return `${value.toFixed(2)}${NARROW_SPACE}s`;
  if (value < 99.5) return `${value.toFixed(1)}${NARROW_SPACE}s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)}${NARROW_SPACE}min ${whole % 60}${NARROW_SPACE}s`;
}

export function times(value) {
  return `${value < 9.995 ? value.toFixed(2) : value.toFixed(1)}${TIMES}`;
}

/** Decibels; equal pictures have no finite number of them. */
export function decibels(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)}${NARROW_SPACE}dB` : "identical";
}

export function percent(share) {
  return `${Math.round(share * 100)}${NARROW_SPACE}%`;
}

/** "128x96" or [128, 96] for people. */
export function size(value) {
  return (typeof value === "string" ? value.split("x") : value).join(`${NARROW_SPACE}${TIMES}${NARROW_SPACE}`);
}

export function count(number, singular, plural = `${singular}s`) {
  return `${number} ${number === 1 ? singular : plural}`;
}

/** How long ago, roughly; both in seconds since 1970. */
export function ago(then, now = Date.now() / 1000) {
  const passed = Math.max(0, now - then);
  if (passed < 10) return "just now";
  if (passed < 90) return `${Math.round(passed)} s ago`;
  if (passed < 5400) return `${Math.round(passed / 60)} min ago`;
  if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
  return `${Math.round(passed / 86400)} days ago`;
}
