// A frame that is as high as what it shows (`fullSize` of the SDK's AppPortal) is told
// how high that is.

// Dialogs need some room. Lists, which grow where there is room for them, scroll beyond the most.
const least = 650;
const most = 1600;

/** Tells the page around how high these are together, whenever it changes, until it is stopped. */
export function tellHeight(...parts: HTMLElement[]): () => void {
  if (window.parent === window) return () => {};
  let told = 0;
  const tell = () => {
    const sum = parts.reduce((h, p) => h + p.getBoundingClientRect().height, 0);
    const height = Math.min(Math.max(Math.ceil(sum), least), most);
    if (height === told) return;
    told = height;
    // To whomever: the policy of this page says who may have it in a frame.
    window.parent.postMessage({ type: "svix.iframe-resizer-height", payload: { height } }, "*");
  };
  const sizes = new ResizeObserver(tell);
  for (const p of parts) sizes.observe(p);
  return () => sizes.disconnect();
}
