// From a stream's history to the columns of the plot. Pure functions; tests/e2e/test_series.py states what they promise.

/** What can be looked at in a stream: `{ value, label }` for each target, or the true class and each class. */
export function choices(spec) {
  if (spec.task !== "classification") return spec.targets.map((name, index) => ({ value: String(index), label: name }));
  return [{ value: "true", label: "true class" }, ...spec.classes.map((name) => ({ value: `=${name}`, label: name }))];
}

/** The horizons that a forecast predicts; empty for the other tasks. */
export function horizons(spec) {
  if (spec.task !== "forecast") return [];
  return Array.isArray(spec.horizon) ? spec.horizon : [spec.horizon];
}

/** A class's name, whether the server says its name or its place among the classes. */
function className(spec, y) {
  const value = Array.isArray(y) ? y[0] : y;
  return typeof value === "number" ? (spec.classes[value] ?? null) : (value ?? null);
}

/** Times for `extra` samples that have not come yet: as far apart as the last ones were. */
function future(times, extra) {
  const gaps = times.slice(1).map((t, index) => t - times[index]).slice(-32).sort((a, b) => a - b);
  const gap = gaps.length ? gaps[gaps.length >> 1] : 1;
  return Array.from({ length: extra }, (_, index) => times[times.length - 1] + (index + 1) * gap);
}

/**
 * Columns for the plot: each prediction stands at the sample that it was made for.
 *
 * A forecast of horizon h that was answered to sample s belongs to sample s + h; those of samples that have not come yet
 * stand at expected times after the last one. A class's probability belongs to the sample itself.
 *
 * Returns `{ seq, x, truth, predicted, lower, upper, drifts, byTime }`, arrays of one length with `null` where there is
 * nothing; `drifts` lists `{ x, detector }`; `byTime` says whether `x` is the samples' `t` (else their `seq`); `bounds` are
 * the smallest and the largest value that there can be, where that is known.
 */
export function align(points, spec, choice, horizon) {
  if (points.length === 0) return { seq: [], x: [], truth: [], predicted: [], lower: [], upper: [], drifts: [], byTime: false, bounds: null };
  const ahead = spec.task === "forecast" ? horizon : 0;
  const times = points.map((point) => point.t);
  const byTime = times.every((t, index) => index === 0 || t > times[index - 1]);
  const last = points[points.length - 1].seq;
  const seq = [...points.map((point) => point.seq), ...Array.from({ length: ahead }, (_, index) => last + index + 1)];
  const x = byTime ? [...times, ...future(times, ahead)] : seq;
  const place = new Map(seq.map((number, index) => [number, index]));
  const column = () => new Array(seq.length).fill(null);
  const [truth, predicted, lower, upper] = [column(), column(), column(), column()];

  points.forEach((point, index) => {
    if (spec.task === "classification") {
      const { probabilities } = point.predictions?.[0] ?? {};
      const label = className(spec, point.y);
      const asked = choice === "true" ? label : choice.slice(1);
      predicted[index] = probabilities?.[asked] ?? null;
      if (choice !== "true" && label !== null) truth[index] = label === asked ? 1 : 0;
      return;
    }
    const target = Number(choice);
    if (spec.task === "forecast") truth[index] = point.x[spec.features.indexOf(spec.targets[target])];
    else if (point.y != null) truth[index] = Array.isArray(point.y) ? point.y[target] : point.y;
    const answer = point.predictions?.find((prediction) => (prediction.horizon ?? 0) === ahead);
    const at = place.get(point.seq + ahead);
    if (answer?.y && at !== undefined) {
      predicted[at] = answer.y[target];
      lower[at] = answer.lower?.[target] ?? null;
      upper[at] = answer.upper?.[target] ?? null;
    }
  });

  const drifts = points.flatMap((point, index) => (point.drift ? [{ x: x[index], detector: point.drift }] : []));
  const bounds = spec.task === "classification" ? [0, 1] : null;
  return { seq, x, truth, predicted, lower, upper, drifts, byTime, bounds };
}

/** The smallest and largest of the numbers in the columns, or `null` where there is none. */
function extent(...columns) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns)
    for (const value of column)
      if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return low <= high ? [low, high] : null;
}

/**
 * Range of the vertical axis: all of the truth, and of predictions and intervals as much as leaves the truth legible.
 * A young stream's intervals may be a hundred times as wide as its values.
 */
export function verticalRange({ truth, predicted, lower, upper, bounds }) {
  if (bounds) return [bounds[0] - 0.04 * (bounds[1] - bounds[0]), bounds[1] + 0.04 * (bounds[1] - bounds[0])];
  const all = extent(truth, predicted, lower, upper);
  if (all === null) return [0, 1];
  const [low, high] = extent(truth) ?? extent(predicted) ?? all;
  const room = 0.75 * (high - low) || Math.abs(high) || 1;
  const [bottom, top] = [Math.max(all[0], low - room), Math.min(all[1], high + room)];
  const margin = 0.06 * (top - bottom) || 0.5;
  return [bottom - margin, top + margin];
}
