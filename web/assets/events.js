// The live list of events: it adds those that follow the events on the page. All texts are inert.
const most = 200; // rows
const control = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const inert = text => String(text ?? "").slice(0, 300).replace(control, "\ufffd");

const element = (name, className, ...content) => {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...content);
  return e;
};

export function start(table) {
  const { stream, after, repositories, pause, resume, live, lost } = table.dataset;
  const words = JSON.parse(table.dataset.words);
  const body = table.tBodies[0];
  const state = document.getElementById("events-state");
  let last = after, source;

  const row = event => {
    const time = new Date(event.time);
    const when = element("time", "", time.toLocaleTimeString(document.documentElement.lang));
    when.dateTime = event.time;
    when.title = `${time.toISOString()} · ${time.toLocaleString(document.documentElement.lang)}`;
    const what = element("td", "", inert(words[event.action] ?? event.action));
    if (event.kind) what.append(" ", element("span", "note", inert(event.kind)));
    const where = element("td", "");
    if (event.repository) {
      const link = element("a", "", inert(event.repository));
      link.href = repositories + String(event.repository).split("/").map(encodeURIComponent).join("/");
      where.append(link);
    }
    for (const tag of (event.tags ?? []).slice(0, 10)) where.append(" ", element("span", "chip tag", inert(tag)));
    const digest = inert(event.target?.digest).replace(/^([^:]*:.{12}).*/, "$1");
    return element("tr", "", element("td", "", when), what, where,
      element("td", "hide-small", element("code", "", digest)), element("td", "hide-small", inert(event.actor)));
  };

  const open = () => {
    source = new EventSource(`${stream}?after=${encodeURIComponent(last)}`);
    source.onopen = () => { state.textContent = live; };
    source.onerror = () => { state.textContent = lost; };
    source.onmessage = message => {
      last = message.lastEventId || last;
      const event = JSON.parse(message.data);
      if (event.kind === "blob") return;
      document.getElementById("events-empty").hidden = true;
      body.prepend(row(event));
      while (body.rows.length > most) body.lastElementChild.remove();
    };
  };

  const button = element("button", "", pause);
  button.type = "button";
  button.addEventListener("click", () => {
    if (source) {
      source.close();
      source = undefined;
    } else {
      open();
    }
    button.textContent = source ? pause : resume;
  });
  state.after(" ", button);
  addEventListener("pagehide", () => source?.close());
  open();
}
