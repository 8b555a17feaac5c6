from bench.analysis.compare_studies import Change as Change
from bench.analysis.comparison import Comparison as Comparison
from bench.api import Study as Study
from bench.api import compare_studies as compare_studies
from bench.api import plan as plan
from bench.api import run as run
from bench.errors import UserError as UserError
from bench.reports.names import names_of as names_of
from bench.reports.names import read_names as read_names
from bench.reports.presentation import Presentation as Presentation
from bench.studies.listeners import Listener as Listener
from bench.studies.listing import listing as listing
from bench.studies.planning import Plan as Plan
from bench.studies.records import Record as Record
from bench.studies.running import Failure as Failure
from bench.studies.study import Expected as Expected
from bench.studies.study import RunResult as RunResult

__version__: str
