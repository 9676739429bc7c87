// The outline lives in the server's session; here it is drawn, dragged and clicked.
const NS = 'http://www.w3.org/2000/svg';
const at = (name) => element.querySelector(name);
const svg = at('svg');
let state = null, token = 0, drag = null, photo = '', whole = '', size = [1, 1];
let queue = Promise.resolve();

const make = (name, attributes, parent) => {
  const node = document.createElementNS(NS, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (parent) parent.appendChild(node);
  return node;
};
const unit = () => { const matrix = svg.getScreenCTM(); return matrix && matrix.a ? 1 / matrix.a : 1; };
const path = (points, closed) => points.length ? 'M' + points.map((p) => p.join(' ')).join('L') + (closed ? 'Z' : '') : '';

function send(action) {
  const begin = performance.now();
  queue = queue.then(async () => {
    try {
      const answer = await server.act({ ...action, token });
      show(answer);
      element.dataset.latency = (performance.now() - begin).toFixed(1);
      element.dataset.answers = 1 + Number(element.dataset.answers || 0);
    } catch (error) {
      say('The app does not answer. Is it still running?');
    }
  });
  return queue;
}

function say(text) {
  at('.message').textContent = text || '';
  at('.message').hidden = !text;
}

function show(answer) {
  at('.label-page').classList.toggle('waiting', Boolean(answer.waiting));
  if (answer.waiting) {
    say(answer.waiting);
    if (!answer.for_good) setTimeout(() => send({ do: 'show' }), 700);
    return;
  }
  state = answer;
  token = answer.token;
  if (answer.photo !== undefined) [photo, whole, size] = [answer.photo, answer.whole, answer.size];
  const words = answer.masks === 1 ? 'mask' : 'masks';
  at('.count').textContent = `${answer.masks} ${words} · ${answer.left} objects to go`;
  at('.saved').textContent = answer.masks ? `saved in ${answer.file}` : '';
  say(answer.message);
  at('.label-page').classList.toggle('finished', Boolean(answer.finished));
  element.dataset.token = token;
  at('[data-do=back]').disabled = !answer.can_back;
  if (answer.finished) {
    at('.hint').textContent = 'Every object has a mask. Go on with Train.';
    return;
  }
  at('.sentence').textContent = answer.sentences[0];
  at('.others').textContent = answer.sentences.slice(1, 4).join(' · ');
  at('.why').textContent = `Why this one: ${answer.why}.`;
  at('[data-do=undo]').disabled = !answer.can_undo;
  at('[data-do=accept]').disabled = !(answer.closed || answer.open.length >= 3);
  const fit = answer.fit === null ? 0 : answer.fit;
  at('.fit b').style.width = `${100 * fit}%`;
  at('.fit em').textContent = answer.fit === null ? '–' : `${Math.round(100 * fit)} %`;
  at('.hint').textContent = answer.open.length || !answer.parts.length
    ? 'Click around the object, one vertex after the other; click the first one, or press Enter, to close.'
    : 'Drag a vertex, or click where the nearest one shall be. Click on the line for a new vertex; right-click takes one away.';
  drawWhole();
  draw();
}

function drawWhole() {
  const [width, height] = size, [x, y, w, h] = state.box;
  at('.whole').replaceChildren();
  if (!whole) return;
  const small = make('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' }, at('.whole'));
  make('image', { href: whole, width, height, preserveAspectRatio: 'none' }, small);
  make('rect', { x, y, width: w, height: h, class: 'here', 'stroke-width': Math.max(width, height) / 90 }, small);
}

function draw() {
  const [x, y, w, h] = state.view;
  svg.setAttribute('viewBox', `${x} ${y} ${w} ${h}`);
  const u = unit();
  svg.replaceChildren();
  if (photo) make('image', { href: photo, x, y, width: w, height: h, preserveAspectRatio: 'none' }, svg);
  const [bx, by, bw, bh] = state.box;
  make('rect', { x: bx, y: by, width: bw, height: bh, class: 'box', 'stroke-width': 2 * u, 'stroke-dasharray': `${7 * u} ${5 * u}` }, svg);
  const all = state.parts.map((points) => path(points, true)).join('');
  make('path', { d: all, class: 'area' }, svg);
  for (const [kind, width] of [['halo', 5], ['line', 2.5]]) make('path', { d: all, class: kind, 'stroke-width': width * u }, svg);
  make('path', { d: all, class: 'grip', 'stroke-width': 14 * u }, svg);
  if (state.open.length) {
    for (const [kind, width] of [['halo', 5], ['line', 2.5]])
      make('path', { d: path(state.open, false), class: kind, 'stroke-width': width * u }, svg);
  }
  state.parts.forEach((points, part) => points.forEach((point, index) => handle(point, part, index, u)));
  state.open.forEach((point, index) => handle(point, -1, index, u));
}

function handle([cx, cy], part, index, u) {
  const first = part === -1 && index === 0;
  make('circle', { cx, cy, r: (first ? 8 : 5.5) * u, 'stroke-width': 2 * u, class: first ? 'vertex first' : 'vertex', 'data-part': part, 'data-index': index }, svg);
}

function place(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return { x, y };
}

svg.addEventListener('pointerdown', (event) => {
  if (!state || state.finished || event.button !== 0) return;
  event.preventDefault();
  svg.focus({ preventScroll: true });
  const target = event.target, spot = place(event);
  if (target.classList.contains('vertex')) {
    const part = Number(target.dataset.part), index = Number(target.dataset.index);
    if (part === -1) return index === 0 && state.open.length >= 3 ? send({ do: 'close' }) : undefined;
    drag = { part, index, from: spot };
    svg.setPointerCapture(event.pointerId);
  } else if (target.classList.contains('grip') && !state.open.length) {
    send({ do: 'insert', ...spot });
  } else {
    send({ do: event.shiftKey ? 'part' : 'click', ...spot });
  }
});
svg.addEventListener('pointermove', (event) => {
  if (!drag) return;
  const spot = place(event);
  state.parts[drag.part][drag.index] = [spot.x, spot.y];
  draw();
});
svg.addEventListener('pointerup', (event) => {
  if (!drag) return;
  const { part, index, from } = drag, spot = place(event);
  drag = null;
  if (Math.hypot(spot.x - from.x, spot.y - from.y) > unit()) send({ do: 'move', part, index, ...spot });
});
svg.addEventListener('pointercancel', () => { drag = null; if (state) draw(); });
svg.addEventListener('contextmenu', (event) => {
  event.preventDefault();
  const { part, index } = event.target.dataset;
  if (part !== undefined && part !== '-1') send({ do: 'remove', part: Number(part), index: Number(index) });
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button && !button.disabled) send({ do: button.dataset.do });
});

const KEYS = { d: 'clear', z: 'undo', m: 'proposal', s: 'skip', b: 'back' };
document.addEventListener('keydown', (event) => {
  if (!state || !svg.checkVisibility() || event.target.closest('input, textarea, select')) return;
  if (event.key === 'Enter') {
    if (event.target.closest('button')) return;
    event.preventDefault();
    send({ do: state.open && state.open.length >= 3 ? 'close' : 'accept' });
  } else if (KEYS[event.key.toLowerCase()] && !event.altKey && !event.metaKey && !(event.ctrlKey && event.key.toLowerCase() !== 'z')) {
    event.preventDefault();
    send({ do: KEYS[event.key.toLowerCase()] });
  }
});
new ResizeObserver(() => { if (state && !state.finished && !drag) draw(); }).observe(svg);
send({ do: 'show' });
