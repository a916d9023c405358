// Where labels go: beside their points, over nothing else.

const overlap = (a, b) => Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left))
  * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

const around = (x, y, r) => ({ left: x - r, right: x + r, top: y - r, bottom: y + r });

const boxAt = (x, y, width, height, [dx, dy], r) => {
  // The box touches the circle of radius r from the outside, in the direction of (dx, dy).
  const cx = x + dx * (r + (width / 2) * Math.abs(dx)) + (Math.abs(dx) < 0.3 ? 0 : Math.sign(dx) * 0);
  const cy = y + dy * (r + (height / 2) * Math.abs(dy));
  return { left: cx - width / 2, right: cx + width / 2, top: cy - height / 2, bottom: cy + height / 2 };
};

const WAYS = [[1, 0], [-1, 0], [0, -1], [0, 1], [0.9, -0.6], [0.9, 0.6], [-0.9, -0.6], [-0.9, 0.6]];
const AWAY = [10, 16, 24, 34, 46, 60, 78];

/**
 * A box for each of `points` ({x, y, width}), or null where there is no room: none lies over another,
 * over a point or outside of `frame`, and over few of `lines`.
 */
function placeLabels(points, lines, frame) {
  const height = 16;
  const dots = points.map(({ x, y }) => around(x, y, 7));
  const placed = [];
  const crowd = (point) => points.filter((other) => Math.hypot(other.x - point.x, other.y - point.y) < 60).length;
  const order = points.map((_, i) => i).sort((a, b) => crowd(points[a]) - crowd(points[b]));
  const boxes = points.map(() => null);
  for (const i of order) {
    const { x, y, width } = points[i];
    let best = null;
    for (const away of AWAY) {
      for (const [turn, way] of WAYS.entries()) {
        const box = boxAt(x, y, width, height, way, away);
        const outside = box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom;
        if (outside || placed.some((other) => overlap(box, other) > 0) || dots.some((dot) => overlap(box, dot) > 0)) continue;
        const crossed = lines.reduce((sum, line) => sum + (overlap(box, line) > 0 ? 1 : 0), 0);
        const cost = away + crossed * 14 + turn * 0.5;
        if (!best || cost < best.cost) best = { box, cost, away };
      }
    }
    if (best) { placed.push(best.box); boxes[i] = best; }
  }
  return boxes;
}

