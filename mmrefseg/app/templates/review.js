const NS = 'http://www.w3.org/2000/svg';
const at = (name) => element.querySelector(name);
let view = { order: '', first: 0 };
let queue = Promise.resolve();

function send(action) {
  queue = queue.then(async () => {
    try {
      show(await server.review({ ...view, ...action }));
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
function node(name, className, text, parent) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
function drawn(name, attributes, parent) {
  const made = document.createElementNS(NS, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  parent.appendChild(made);
  return made;
}

function show(page) {
  say(page.message);
  at('.review-page').hidden = !page.total;
  if (!page.total) return;
  view = { order: page.order, first: page.first };
  const slide = at('.slide input');
  if (document.activeElement !== slide) slide.value = page.threshold;
  at('.slide .value').textContent = Number(page.threshold).toFixed(2);
  at('.order').replaceChildren(...page.orders.map((order) => new Option(order, order, false, order === page.order)));
  at('.counts').textContent = `${page.accepted} accepted · ${page.rejected} rejected · ${page.decided} of them by you`;
  drawHistogram(page);
  at('.cards').replaceChildren(...page.cards.map(card));
  const last = Math.min(page.first + page.size, page.total);
  at('.where').textContent = `${page.first + 1} to ${last} of ${page.total}`;
  at('[data-page="-1"]').disabled = page.first === 0;
  at('[data-page="1"]').disabled = last >= page.total;
  at('.saved').textContent = page.decided ? `Decisions: ${page.file}` : 'No decision yet: the score decides.';
  at('.command').textContent = page.command;
}

function drawHistogram(page) {
  const svg = at('.histogram'), most = Math.max(...page.histogram, 1);
  svg.replaceChildren();
  page.histogram.forEach((count, bin) => {
    const height = count ? Math.max((40 * count) / most, 2) : 0;
    drawn('rect', { x: bin * 10 + 1, y: 44 - height, width: 8, height, class: (bin + 0.5) / 20 >= page.threshold ? 'yes' : 'no' }, svg);
  });
}

function card(item) {
  const box = node('article', `card ${item.state}`);
  box.dataset.ref = item.ref_id;
  const picture = node('div', 'picture', undefined, box);
  const [width, height] = item.size, [x, y, w, h] = item.box;
  const svg = drawn('svg', { viewBox: `0 0 ${width} ${height}` }, picture);
  drawn('image', { href: item.image, width, height, preserveAspectRatio: 'none' }, svg);
  drawn('rect', { x, y, width: w, height: h, class: 'box', 'vector-effect': 'non-scaling-stroke' }, svg);
  for (const kind of ['halo', 'line']) drawn('path', { d: item.path, class: kind, 'vector-effect': 'non-scaling-stroke' }, svg);
  node('p', 'sentence', item.sentence, box);
  const row = node('div', 'row', undefined, box);
  node('span', 'score', item.score.toFixed(2), row);
  const by = item.decided ? 'by you' : 'by score';
  node('span', 'state', `${item.state} ${by}`, row);
  const buttons = node('div', 'choose', undefined, box);
  for (const [decision, text] of [['accept', 'Accept'], ['reject', 'Reject']]) {
    const button = node('button', decision, text, buttons);
    const chosen = item.decided && item.state === `${decision}ed`;
    button.setAttribute('aria-pressed', chosen);
    button.addEventListener('click', () => send({ ref_id: item.ref_id, decision: chosen ? null : decision }));
  }
  return box;
}

at('.slide input').addEventListener('input', (event) => { at('.slide .value').textContent = Number(event.target.value).toFixed(2); });
at('.slide input').addEventListener('change', (event) => send({ threshold: Number(event.target.value) }));
at('.order').addEventListener('change', (event) => send({ order: event.target.value, first: 0 }));
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-page]');
  if (button && !button.disabled) send({ first: view.first + Number(button.dataset.page) * 12 });
});
watch('value', () => send({ first: 0 }));
send({});
