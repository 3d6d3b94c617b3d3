// Numbers as people read them.

const integer = new Intl.NumberFormat("en");
const MISSING = "–";

export const count = (value) => (value == null ? MISSING : integer.format(value));

/** Three significant digits, without exponents where there is no need for them. */
export function quantity(value) {
  if (value == null || !Number.isFinite(value)) return MISSING;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return new Intl.NumberFormat("en", { maximumSignificantDigits: size >= 1000 ? 6 : 3 }).format(value);
}

export const ratio = (value) => (value == null || !Number.isFinite(value) ? MISSING : value.toFixed(2));

export function bytes(value) {
  if (value == null) return MISSING;
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = value > 0 ? Math.min(Math.floor(Math.log2(value) / 10), units.length - 1) : 0;
  return `${quantity(value / 1024 ** power)} ${units[power]}`;
}

/** Whether a stream's `t` looks like seconds since 1970, so that it may be shown as a date. */
export const isClock = (t) => t > 1e8 && t < 1e11;

export function moment(t) {
  if (t == null) return MISSING;
  return isClock(t) ? new Date(t * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) : quantity(t);
}
