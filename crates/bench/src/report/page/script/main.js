// Everything in its place.

function showAll() {
  for (const render of Object.values(renders)) render();
}

function follow() {
  readAddress();
  search.value = chosen('case.q');
  showAll();
  if (section) goTo(section);
}

// A section's link keeps what is chosen.
document.querySelectorAll('#sections a, .skip').forEach((link) => link.addEventListener('click', (event) => {
  event.preventDefault();
  section = link.hash.slice(1);
  history.replaceState(null, '', address());
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  goTo(section, still ? 'auto' : 'smooth');
  const heading = byId(`${section}-title`);
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}));

byId('main').hidden = false;
byId('sections').hidden = false;
startTheme();
showFacts();
showDefinitions();
follow();
addEventListener('hashchange', follow);
onWidth(byId('plot'), () => renders.plot());
onWidth(byId('curves'), () => renders.curve());
document.documentElement.dataset.ready = '';
