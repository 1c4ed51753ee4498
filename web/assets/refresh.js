// A part of a page that changes by itself: the page is fetched again every few seconds, for as long as it says so.
export function start(part) {
  const again = async () => {
    if (document.hidden || part.contains(document.activeElement)) return wait();
    const response = await fetch(location.href, { credentials: "same-origin" }).catch(() => undefined);
    if (!response?.ok) return wait();
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const next = page.querySelector(`.${part.classList[0]}`);
    if (!next) return;
    part.replaceChildren(...next.childNodes);
    if (next.dataset.module) wait();
  };
  const wait = () => setTimeout(again, 1000 * part.dataset.seconds);
  wait();
}
