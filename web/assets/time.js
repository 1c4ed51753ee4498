import { text } from "./text.js";

// The server writes times in UTC. Where a whole time is shown, the local one follows; elsewhere it is in the title.
export function addLocalTimes(root) {
  const language = document.documentElement.lang;
  const whole = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (isNaN(date) || date.getTimezoneOffset() === 0) continue;
    const local = `${whole.format(date)} ${text("local")}`;
    if (time.title === time.textContent) time.append(` · ${local}`);
    else time.title += ` · ${local}`;
  }
}
