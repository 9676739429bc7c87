'use strict';
(() => {
  const $ = id => document.getElementById(id);
  const about = JSON.parse($('about').textContent);
  const list = $('cards');
  const cards = [...list.children];
  const memory = `mmrefseg-decisions-${about.key}`;
  const DECIDED = { accept: 'accepted', reject: 'rejected' };

  let remembers = true;
  function keep(name, text) {
    try {
      localStorage.setItem(name, text);
    } catch {
      remembers = false;
      $('no-memory').hidden = false;
    }
  }
  function recall(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  }
  // What this browser remembers; null is a decision of the file that was taken back.
  let kept = {};
  try {
    kept = JSON.parse(recall(memory) || '{}') || {};
  } catch { /* not ours: begin anew */ }
  keep(memory, JSON.stringify(kept));
  const decisions = new Map(Object.entries(about.content.decisions));
  let saved = recall(`${memory}-saved`) || asText();
  for (const [id, choice] of Object.entries(kept)) {
    if (choice in DECIDED) decisions.set(id, choice);
    else decisions.delete(id);
  }
  const past = [];
  let current = null;

  function asText() {
    const ids = [...decisions.keys()].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
    const sorted = ids.map(id => [id, decisions.get(id)]);
    return `${JSON.stringify({ ...about.content, decisions: Object.fromEntries(sorted) }, null, 1)}\n`;
  }

  function say(text) {
    const status = $('status');
    status.textContent = text;
    status.classList.add('seen');
    clearTimeout(say.timer);
    say.timer = setTimeout(() => status.classList.remove('seen'), 2600);
  }

  function titleOf(card) {
    const gave = card.querySelector('.gave') || card.querySelector('.sentences li');
    return `"${gave.firstChild.textContent.trim()}"`;
  }

  function paint(card) {
    const choice = decisions.get(card.dataset.id);
    if (choice) card.dataset.decision = choice;
    else delete card.dataset.decision;
    for (const button of card.querySelectorAll('[data-choice]')) {
      button.setAttribute('aria-pressed', String(button.dataset.choice === choice));
    }
    const against = choice && DECIDED[choice] !== card.dataset.rule;
    card.querySelector('.yours').textContent = !choice ? '' : against ? 'you, against the rule' : 'you, as the rule';
  }

  function shown() {
    return cards.filter(card => !card.hidden);
  }

  function fits(card, group) {
    const choice = decisions.has(card.dataset.id);
    if (group === 'undecided') return !choice;
    if (group === 'decided') return choice;
    if (group === 'all') return true;
    return group === 'borderline' ? card.dataset.group === group : card.dataset.rule === group;
  }

  function count() {
    for (const place of document.querySelectorAll('[data-count]')) {
      place.textContent = cards.filter(card => fits(card, place.dataset.count)).length;
    }
    const mine = cards.filter(card => decisions.has(card.dataset.id));
    const against = mine.filter(card => DECIDED[decisions.get(card.dataset.id)] !== card.dataset.rule);
    const elsewhere = decisions.size - mine.length;
    const unsaved = asText() !== saved;
    $('progress').textContent = `${mine.length} of ${cards.length} decided, ${against.length} against the rule`
      + (elsewhere ? `, ${elsewhere} about objects not shown` : '') + (unsaved ? ' · not saved yet' : '');
    $('undo').disabled = !past.length;
    document.body.dataset.decided = mine.length;
  }

  const ORDERS = {
    near: card => Math.abs(Number(card.dataset.margin)),
    best: card => Number(card.dataset.value) * (about.lower_is_better ? 1 : -1),
    worst: card => Number(card.dataset.value) * (about.lower_is_better ? -1 : 1),
    number: card => Number(card.dataset.id),
  };

  function arrange() {
    const rank = ORDERS[$('order').value];
    const keys = new Map(cards.map((card, place) => [card, [rank(card) || 0, place]]));
    cards.sort((a, b) => keys.get(a)[0] - keys.get(b)[0] || keys.get(a)[1] - keys.get(b)[1]);
    list.append(...cards);
    filter();
  }

  // Where the current card is hidden, `instead` becomes it.
  function filter(instead = null) {
    const group = document.querySelector('[name=group]:checked').value;
    const category = $('category').value;
    const words = $('text').value.toLowerCase().split(/\s+/).filter(Boolean);
    const focused = current && current.contains(document.activeElement);
    for (const card of cards) {
      const text = card.querySelector('.sentences').textContent.toLowerCase();
      card.hidden = !(fits(card, group) && (!category || card.dataset.category === category)
        && words.every(word => text.includes(word)));
    }
    const visible = shown();
    $('nothing').hidden = visible.length > 0 || !cards.length;
    if (!current || current.hidden) choose(visible.includes(instead) ? instead : visible[0] || null, focused);
    count();
    document.body.dataset.visible = visible.length;
  }

  // One card is the current one; Tab reaches it and its buttons, the arrows the others.
  function choose(card, focus = true) {
    for (const [old, reach] of [[current, -1], [card, 0]]) {
      if (!old) continue;
      old.tabIndex = reach;
      for (const button of old.querySelectorAll('button')) button.tabIndex = reach;
    }
    current = card;
    if (card && focus) card.focus();
  }

  function step(by) {
    const visible = shown();
    if (!visible.length) return;
    const place = visible.indexOf(current);
    const active = document.activeElement;
    // The first key goes to the first card, not past it.
    const next = current && list.contains(active) ? place + by : Math.max(place, 0);
    choose(visible[Math.min(Math.max(next, 0), visible.length - 1)]);
  }

  function columns() {
    const visible = shown();
    const top = visible.length ? visible[0].offsetTop : 0;
    return Math.max(visible.filter(card => card.offsetTop === top).length, 1);
  }

  function put(id, choice) {
    if (choice) decisions.set(id, choice);
    else decisions.delete(id);
    kept[id] = choice;
    keep(memory, JSON.stringify(kept));
    const card = $(`object-${id}`);
    if (card) paint(card);
    return card;
  }

  function decide(card, choice, goOn) {
    if (!card) return;
    if (choice === 'accept' && 'empty' in card.dataset) {
      say('An empty mask has nothing to learn from; it cannot be accepted.');
      return;
    }
    const id = card.dataset.id;
    const visible = shown();
    const next = visible[visible.indexOf(card) + 1];
    past.push([id, decisions.get(id) || null]);
    put(id, choice);
    if (goOn) choose(next || card);
    filter(next);
    say(`${choice === 'accept' ? 'Accepted' : 'Rejected'} ${titleOf(card)}`);
  }

  function undo() {
    if (!past.length) return;
    const card = put(...past.pop());
    filter();
    if (card && !card.hidden) choose(card);
    say(card ? `Undone: ${titleOf(card)}` : 'Undone');
  }

  function save() {
    const text = asText();
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    link.download = 'decisions.json';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = text;
    keep(`${memory}-saved`, text);
    count();
    say(`${decisions.size} decisions saved as decisions.json`);
  }

  function flip(id) {
    $(id).checked = !$(id).checked;
    $(id).dispatchEvent(new Event('change'));
  }

  const KEYS = {
    a: () => decide(current, 'accept', true), r: () => decide(current, 'reject', true), u: undo, s: save,
    j: () => step(1), k: () => step(-1), m: () => flip('overlay'), z: () => flip('large'),
    '?': () => $('help').showModal(), '/': () => $('text').focus(),
  };
  const MOVES = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(columns()), ArrowUp: () => step(-columns()) };

  const ASIDE = new Set(['ArrowLeft', 'ArrowRight']);

  document.addEventListener('keydown', event => {
    const typing = event.target.matches('input[type=search], select') || $('help').open;
    if (event.key === 'Escape' && event.target === $('text')) {
      if (current) choose(current);
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const letter = event.key.length === 1;
    if (letter && !$('keys').checked) return;
    const inList = list.contains(document.activeElement);
    // Before a card has the focus, up and down move the page.
    const moves = inList || (document.activeElement === document.body && ASIDE.has(event.key));
    const act = letter ? KEYS[event.key.toLowerCase()] : moves && MOVES[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  list.addEventListener('click', event => {
    const card = event.target.closest('.card');
    const button = event.target.closest('[data-choice]');
    if (!card) return;
    choose(card, !button);
    if (button) decide(card, button.dataset.choice, false);
  });
  list.addEventListener('focusin', event => {
    const card = event.target.closest('.card');
    if (card && card !== current) choose(card, false);
  });
  for (const name of ['category', 'text']) $(name).addEventListener('input', () => filter());
  for (const radio of document.querySelectorAll('[name=group]')) radio.addEventListener('change', () => filter());
  $('order').addEventListener('change', arrange);
  $('overlay').addEventListener('change', () => document.body.classList.toggle('bare', !$('overlay').checked));
  $('large').addEventListener('change', () => document.body.classList.toggle('large', $('large').checked));
  $('filters').addEventListener('submit', event => event.preventDefault());
  $('undo').addEventListener('click', undo);
  $('save').addEventListener('click', save);
  $('help-button').addEventListener('click', () => $('help').showModal());
  addEventListener('beforeunload', event => {
    if (!remembers && asText() !== saved) event.preventDefault();
  });
  addEventListener('load', () => {
    document.body.dataset.expected = cards.length;
    document.body.dataset.shown = [...document.images].filter(image => image.complete && image.naturalWidth > 0).length;
  });

  cards.forEach(paint);
  arrange();
})();
