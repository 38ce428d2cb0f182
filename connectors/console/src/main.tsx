import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/chart.css';
import './styles/entities.css';
import './styles/alerts.css';
import './styles/feed.css';
import { Session } from './state/session';
import { App } from './ui/app';
import { applyTheme } from './ui/theme';

const root = document.getElementById('app');
if (!root) throw new Error('index.html has no #app');
applyTheme();
const session = new Session((snapshot) => render(<App session={session} s={snapshot} />, root));
session.start();
