"use strict";
(() => {
  const slider = document.getElementById("threshold");
  if (!slider) return;
  const value = document.getElementById("threshold-value");
  const instances = Array.from(document.querySelectorAll("[data-score]"));
  const pictures = Array.from(document.querySelectorAll("figure.picture"));

  const update = () => {
    const threshold = Number(slider.value);
    value.textContent = threshold.toFixed(2);
    for (const each of instances) {
      each.classList.toggle("below", Number(each.dataset.score) < threshold);
    }
    for (const picture of pictures) {
      const all = picture.querySelectorAll("g[data-score]").length;
      const shown = all - picture.querySelectorAll("g[data-score].below").length;
      picture.querySelector(".count").textContent = all ? `Shown: ${shown} of ${all}.` : "";
    }
  };

  const toggle = (id, change) => {
    const box = document.getElementById(id);
    if (box) box.addEventListener("change", () => change(box.checked));
  };

  slider.addEventListener("input", update);
  toggle("show-numbers", (on) => document.body.classList.toggle("without-numbers", !on));
  toggle("show-truth", (on) => {
    for (const each of document.querySelectorAll("g.truths")) each.classList.toggle("below", !on);
  });
  const controls = document.getElementById("controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  update();
})();
