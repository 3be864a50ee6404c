// SPDX-License-Identifier: BSD-3-Clause
// page.mjs URL CHROMIUM SCREENSHOTS: the page of resolverd-web in a real browser. Prints one JSON object; what is wrong throws.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const [url, executablePath, screenshots] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const trouble = [];

async function open(options, path = "/") {
	const context = await browser.newContext(options);
	const page = await context.newPage();
	page.on("console", (message) => trouble.push(`console: ${message.text()}`));
	page.on("pageerror", (error) => trouble.push(`error: ${error}`));
	page.on("requestfailed", (request) => trouble.push(`failed: ${request.url()}`));
	page.on("request", (request) => request.url().startsWith(url) || trouble.push(`elsewhere: ${request.url()}`));
	const response = await page.goto(url + path);
	assert.equal(response.status(), 200);
	return page;
}

async function fits(page) {
	const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
	assert.ok(wide <= room, `it is ${wide} wide, and has ${room}`);
}

// WCAG 2.1 contrast of every text against what is behind it.
async function contrast(page) {
	const low = await page.evaluate(() => {
		const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
		const channel = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
		const behind = (element) => {
			for (; element; element = element.parentElement) {
				const colour = parse(getComputedStyle(element).backgroundColor);
				if (colour.length === 3 || colour[3] === 1) return colour;
			}
			return [255, 255, 255];
		};
		const bad = [];
		for (const element of document.querySelectorAll("body *")) {
			const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
			if (!text || element.closest("svg")) continue;
			const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (ratio < 4.5) bad.push(`${element.tagName} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
		}
		return bad;
	});
	assert.deepEqual(low, []);
}

const desk = await open({ viewport: { width: 1100, height: 900 }, colorScheme: "light" });
await fits(desk);
await contrast(desk);
const rows = await desk.locator("section:has(#trouble) tbody tr").allInnerTexts();
if (screenshots) await desk.screenshot({ path: `${screenshots}/page.png`, clip: { x: 0, y: 0, width: 1100, height: 900 } });

// By keyboard alone: the skip link first, then the first destination with trouble, and its page.
await desk.keyboard.press("Tab");
assert.equal(await desk.evaluate(() => document.activeElement.textContent), "To the contents");
await desk.keyboard.press("Enter");
await desk.keyboard.press("Tab");
const name = await desk.evaluate(() => document.activeElement.textContent);
await Promise.all([desk.waitForURL(/destination/), desk.keyboard.press("Enter")]);
assert.equal(await desk.locator("h1").innerText(), name);
await fits(desk);
await contrast(desk);
await Promise.all([desk.waitForURL(/explain=1/), desk.getByRole("link", { name: "Look everything up again" }).click()]);
assert.ok(await desk.getByRole("table", { name: "Lookups, in order" }).count() > 0);
await contrast(desk);
await Promise.all([desk.waitForURL(url + "/"), desk.getByRole("link", { name: "resolverd", exact: true }).click()]);

const dark = await open({ viewport: { width: 1100, height: 900 }, colorScheme: "dark" });
await contrast(dark);
const phone = await open({ viewport: { width: 360, height: 740 }, colorScheme: "dark", isMobile: true, javaScriptEnabled: false });
assert.ok(await phone.getByRole("heading", { name: "Destinations with trouble" }).isVisible());
if (screenshots) await phone.screenshot({ path: `${screenshots}/page-phone.png` });
const narrow = await open({ viewport: { width: 360, height: 740 }, isMobile: true });
await fits(narrow);

// What assistive technology is told: headings in order, images with names, tables with captions.
const levels = await desk.evaluate(() => [...document.querySelectorAll("h1, h2, h3")].map((h) => Number(h.tagName[1])));
assert.ok(levels.every((level, i) => i === 0 ? level === 1 : level - levels[i - 1] <= 1), String(levels));

assert.deepEqual(trouble, []);
console.log(JSON.stringify({ rows, name }));
await browser.close();
