// The page works without this script. It adds what a server cannot do: the local time, and the clipboard.
const text = name => document.querySelector(`meta[name="text-${name}"]`)?.content ?? name;

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title += ` · ${new Date(time.dateTime).toLocaleString(document.documentElement.lang)}`;
}

for (const box of document.querySelectorAll(".pull")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text("copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("code").textContent);
    button.textContent = text("copied");
  });
  box.append(button);
}
