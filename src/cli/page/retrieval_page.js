// Shows the data of #data. Whatever comes from file or class names reaches the page as text only, never as markup.
const data = JSON.parse(document.getElementById('data').textContent);
const at = (id) => document.getElementById(id);
const kCardsAPage = 12;
const labelled = data.rows.length > 0;

// --- small tools -----------------------------------------------------------------------------------------------------

/** An element; a string among the children becomes text. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}
const number = (n) => n.toLocaleString('en-US');
const percent = (share) => (share === null ? '–' : (share * 100).toFixed(1));
const className = (index) => (index === null ? 'no label' : data.classes[index]);
// Untrained networks put everything within 0.01 of 1: then three digits would all read the same.
const scores = data.cards.filter((card) => card.near.length).map((card) => card.near[0][1]).sort((a, b) => a - b);
const middle = scores.length ? scores[scores.length >> 1] : 0;
const digits = middle > 0.998 ? 5 : middle > 0.98 ? 4 : 3;

// --- the view: what is filtered, in which order, which page; it lives in location.hash --------------------------------

const kPlain = { class: '', show: 'all', q: '', order: 'mixed', page: '1', sort: '', desc: '' };
let view = readHash();

function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const wanted = {};
  for (const key of Object.keys(kPlain)) wanted[key] = given.get(key) ?? kPlain[key];
  return wanted;
}

function change(part, replace) {
  view = { ...view, page: '1', ...part };
  const hash = new URLSearchParams(Object.entries(view).filter(([key, value]) => value !== kPlain[key])).toString();
  history[replace ? 'replaceState' : 'pushState'](null, '', '#' + hash);
  show();
}

function matching() {
  const text = view.q.toLowerCase();
  const cards = data.cards.filter((card) => {
    const video = data.videos[card.video];
    if (view.class !== '' && className(video.class) !== view.class) return false;
    if (view.show !== 'all' && (video.class === null || (card.first === 1) !== (view.show === 'hits'))) return false;
    return video.name.toLowerCase().includes(text);
  });
  const rank = (card) => (card.first === 0 ? Infinity : card.first);
  if (view.order === 'listed') cards.sort((a, b) => a.row - b.row);
  if (view.order === 'early') cards.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
  if (view.order === 'late') cards.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
  return cards;
}

// --- cards -----------------------------------------------------------------------------------------------------------

function clipButton(video, says) {
  if (video.clip === null) {
    return make('div', { class: 'clip none', title: video.problem || '' }, make('span', {}, 'no preview: the video could not be shown'));
  }
  const button = make('button', { type: 'button', class: 'clip', 'aria-label': 'Play ' + says, 'aria-pressed': 'false' },
    make('img', { src: 'media/' + video.clip + '.jpg', alt: '', loading: 'lazy', decoding: 'async' }));
  new Player(button, video.clip);
  return button;
}

function outcome(card, video) {
  if (video.class === null) return null;
  if (card.first === 1) return make('span', { class: 'chip hit' }, '✓ hit at 1');
  const where = card.first === 0 ? 'class not in the gallery' : 'first hit at ' + number(card.first);
  return make('span', { class: 'chip miss' }, '✕ ' + where);
}

function neighbour(query, [index, cosine], rank) {
  const video = data.videos[index];
  const known = query.class !== null && video.class !== null;
  const hit = known && video.class === query.class;
  const word = known ? (hit ? 'hit' : 'miss') : '';
  const item = make('li', { class: word });
  item.append(clipButton(video, `neighbour ${rank}${word ? ', ' + word : ''}, ${className(video.class)}, ${video.name}`),
    make('div', { class: 'line' }, make('span', { class: 'rank' }, String(rank)),
      known ? make('span', { class: 'mark' }, hit ? '✓ hit' : '✕ miss') : null,
      make('span', { class: 'score', title: 'cosine similarity ' + cosine }, cosine.toFixed(digits))));
  if (labelled || video.class !== null) item.append(make('div', { class: 'class' }, className(video.class)));
  item.append(make('span', { class: 'name', title: video.name }, video.name));
  if (video.name === query.name && video.clip !== null && video.clip === query.clip) {
    item.append(make('span', { class: 'chip miss' }, 'the query itself'));
  }
  return item;
}

function cardElement(card) {
  const video = data.videos[card.video];
  const rowPlay = make('button', { type: 'button', class: 'row-play', 'aria-pressed': 'false' }, 'Play row');
  const text = make('div', {}, labelled || video.class !== null ? make('div', { class: 'class' }, className(video.class)) : null,
    make('h3', { class: 'name', id: 'query-' + card.row }, video.name), outcome(card, video), rowPlay);
  const element = make('article', { class: 'card', 'aria-labelledby': 'query-' + card.row },
    make('div', { class: 'query' }, clipButton(video, 'query, ' + className(video.class) + ', ' + video.name), text),
    make('ol', { class: 'near', 'aria-label': 'Nearest neighbours' }, ...card.near.map((near, i) => neighbour(video, near, i + 1))));
  rowPlay.addEventListener('click', () => {
    const pinned = rowPlay.getAttribute('aria-pressed') !== 'true';
    rowPlay.setAttribute('aria-pressed', String(pinned));
    rowPlay.textContent = pinned ? 'Stop row' : 'Play row';
    for (const clip of element.querySelectorAll('button.clip')) clip.player.update({ pinned, paused: false });
  });
  return element;
}

function showCards() {
  for (const player of [...players]) player.leave();
  const cards = matching();
  const last = Math.max(1, Math.ceil(cards.length / kCardsAPage));
  const page = Math.min(last, Math.max(1, parseInt(view.page, 10) || 1));
  const list = cards.slice((page - 1) * kCardsAPage, page * kCardsAPage).map(cardElement);
  if (!list.length) list.push(make('p', { class: 'empty' }, 'No query on this page matches.'));
  at('cards').replaceChildren(...list);
  const all = data.cards.length;
  const part = all < data.queries.decoded ? ` (drawn from ${number(data.queries.decoded)})` : '';
  at('status').textContent = (cards.length === all ? `${number(all)} queries` : `${number(cards.length)} of ${number(all)} queries`) +
    part + (last > 1 ? `, page ${page} of ${last}` : '');
  showPages(page, last);
}

function showPages(page, last) {
  const go = (to) => {
    change({ page: String(to) });
    at('queries-title').scrollIntoView();
    at('cards').focus({ preventScroll: true });
  };
  const button = (text, to, says) => {
    const element = make('button', { type: 'button', 'aria-label': says }, text);
    element.disabled = to < 1 || to > last;
    element.addEventListener('click', () => go(to));
    return element;
  };
  const shown = [...new Set([1, page - 1, page, page + 1, last])].filter((n) => n >= 1 && n <= last);
  const numbers = shown.flatMap((n, i) => {
    const element = button(number(n), n, 'Page ' + n);
    if (n === page) element.setAttribute('aria-current', 'page');
    return i > 0 && n > shown[i - 1] + 1 ? [make('span', { 'aria-hidden': 'true' }, '…'), element] : [element];
  });
  at('pages').replaceChildren(...(last > 1 ? [button('‹', page - 1, 'Previous page'), ...numbers, button('›', page + 1, 'Next page')] : []));
}

// --- the table of classes ----------------------------------------------------------------------------------------------

const columns = [
  { key: 'class', text: 'Class', value: (row) => className(row.class) },
  { key: 'n', text: 'n', title: 'queries', value: (row) => row.queries },
  ...data.recall.map(({ k, value }, i) => ({ key: 'r' + k, text: 'R@' + k, value: (row) => row.recall[i], absent: value === null }))
    .filter((column) => !column.absent).slice(0, 3),
  { key: 'map', text: 'mAP', value: (row) => row.map },
];

function showTable() {
  const sorted = columns.find((column) => column.key === view.sort);
  const rows = [...data.rows];
  if (sorted) {
    const order = (a, b) => (typeof a === 'string' ? a.localeCompare(b) : a - b);
    rows.sort((a, b) => (view.desc ? -1 : 1) * order(sorted.value(a), sorted.value(b)));
  }
  const heads = columns.map((column) => {
    const button = make('button', { type: 'button', title: column.title || '', 'data-sort': column.key }, column.text);
    const head = make('th', { scope: 'col' }, button);
    if (column === sorted) head.setAttribute('aria-sort', view.desc ? 'descending' : 'ascending');
    // Numbers are asked for from the best down first, names from A.
    button.addEventListener('click', () => {
      const first = column.key === 'class' ? '' : '1';
      change({ sort: column.key, desc: column !== sorted ? first : view.desc ? '' : '1', page: view.page });
      at('table').querySelector(`[data-sort="${column.key}"]`).focus();
    });
    return head;
  });
  at('table').tHead.rows[0].replaceChildren(...heads);
  at('table').tBodies[0].replaceChildren(...rows.map((row) => {
    const name = className(row.class);
    const chosen = view.class === name;
    const button = make('button', { type: 'button', 'aria-pressed': String(chosen), 'aria-label': 'Show only ' + name, title: name }, name);
    button.addEventListener('click', () => change({ class: chosen ? '' : name }));
    const head = make('th', { scope: 'row' }, button);
    if (row.mistaken) {
      const other = className(row.mistaken_for);
      head.append(make('small', { title: `the nearest neighbour of ${number(row.mistaken)} of them is of class ${other}` },
        `taken for ${other} (${number(row.mistaken)})`));
    }
    if (!row.gallery) head.append(make('small', {}, 'not in the gallery'));
    return make('tr', chosen ? { class: 'chosen' } : {}, head, ...columns.slice(1).map((column) => {
      const value = column.value(row);
      const counts = `${number(row.queries)} queries, ${number(row.gallery)} videos in the gallery`;
      return column.key === 'n' ? make('td', { title: counts }, number(value)) : make('td', {}, percent(value));
    }));
  }));
}

// --- what does not change ----------------------------------------------------------------------------------------------

function showSummary() {
  document.title = 'Retrieval: ' + data.queries.set;
  at('weights').textContent = data.weights;
  const tile = (what, value, chance) => make('div', { class: 'tile' }, make('div', { class: 'what' }, what),
    make('div', { class: 'value' }, percent(value), value === null ? '' : make('small', {}, ' %')), meter(value, chance),
    make('div', { class: 'chance' }, chance !== undefined && chance !== null ? `chance ${percent(chance)} %` : value === null ? 'not defined here' : '\u00a0'));
  at('tiles').append(...data.recall.map(({ k, value, chance }) => tile('R@' + k, value, chance)), tile('mAP', data.map));
  const set = (part) => make('dd', part.decoded < part.total ? { class: 'warn' } : {},
    `${part.set}, ${number(part.decoded)} of ${number(part.total)} decoded`);
  for (const [name, value] of [['Model', data.model], ['Queries', set(data.queries)], ['Gallery', set(data.gallery)],
    ['Clips a video', String(data.clips)], ['Seed', String(data.seed)], ['Build', data.build]]) {
    at('facts').append(make('div', {}, make('dt', {}, name), typeof value === 'string' ? make('dd', {}, value) : value));
  }
}

function meter(value, chance) {
  const element = make('div', { class: 'meter', 'aria-hidden': 'true' });
  const bar = make('i');
  bar.style.width = (value || 0) * 100 + '%';
  element.append(bar);
  if (chance !== undefined && chance !== null) {
    const tick = make('b');
    tick.style.left = `calc(${chance * 100}% - 1px)`;
    element.append(tick);
  }
  return element;
}

function fillClasses() {
  const counts = new Map();
  for (const card of data.cards) {
    const name = className(data.videos[card.video].class);
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  const names = [...new Set([...data.classes, ...counts.keys()])].filter((name) => counts.has(name));
  at('class').append(make('option', { value: '' }, `all (${number(data.cards.length)})`),
    ...names.map((name) => make('option', { value: name }, `${name} (${counts.get(name)})`)));
  // A class of the table that has no query on the page can still be chosen there.
  for (const row of data.rows) {
    if (!counts.has(className(row.class))) at('class').append(make('option', { value: className(row.class) }, className(row.class) + ' (0)'));
  }
}

function show() {
  at('search').value = view.q;
  at('class').value = view.class;
  at('order').value = view.order;
  for (const radio of at('bar').querySelectorAll('[name=show]')) radio.checked = radio.value === view.show;
  at('reset').hidden = ['class', 'show', 'q'].every((key) => view[key] === kPlain[key]);
  if (labelled) showTable();
  showCards();
}

showSummary();
fillClasses();
if (!labelled) {
  for (const id of ['aside', 'class-field', 'outcome-field', 'order-field']) at(id).hidden = true;
  document.querySelector('.layout').classList.add('plain');
}
at('bar').addEventListener('submit', (event) => event.preventDefault());
at('search').addEventListener('input', () => change({ q: at('search').value }, true));
at('class').addEventListener('change', () => change({ class: at('class').value }));
at('order').addEventListener('change', () => change({ order: at('order').value }));
for (const radio of at('bar').querySelectorAll('[name=show]')) {
  radio.addEventListener('change', () => change({ show: radio.value }));
}
at('reset').addEventListener('click', () => change({ class: '', show: 'all', q: '' }));
at('play').addEventListener('click', () => {
  playAll = !playAll;
  at('play').setAttribute('aria-pressed', String(playAll));
  at('play').textContent = playAll ? 'Stop all' : 'Play all';
  for (const player of players) player.update({ paused: false });
});
addEventListener('popstate', () => { view = readHash(); show(); });
show();
